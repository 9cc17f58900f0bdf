"""What is declared and changes nothing: nodes that no factor reads, arguments that no result depends on."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import partial_eval

from gmdsl.diagnose.report import Finding, listed
from gmdsl.graph.factor import Deterministic, Factor
from gmdsl.graph.factor_graph import known
from gmdsl.graph.order import unique_names
from gmdsl.models.model import Model
from gmdsl.spaces.space import abstract

NAME = "unused"


def unused(model: Model) -> Finding:
    """The finding "unused"."""
    read = {name for factor in model.factors for name in factor.parents}
    declared = [*model.data, *model.params, *(n for n, _ in model.constants), *(n for n, _ in model.inputs)]
    found = [f"{name} is read by nothing" for name in declared if name not in read]
    for factor, label in zip(model.factors, unique_names(model.factors), strict=True):
        found += [f"{name} changes nothing in {label}" for name in _find_ignored(model, factor)]
    if not found:
        return Finding(NAME, "ok", "everything declared is used")
    return Finding(NAME, "suspect", listed(found), "Remove it, or use it.")


def _find_ignored(model: Model, factor: Factor) -> list[str]:
    """Parents on whose value the factor does not depend."""
    have = {name: abstract(space) for name, space in (*model.declared, *model.inputs)}
    have |= {name: jax.eval_shape(jnp.asarray, value) for name, value in {**model.data, **model.observed}.items()}
    have |= {name: abstract(param.space) for name, param in model.params.items()}
    names = [name for name in dict.fromkeys((*factor.parents, *factor.children)) if name in have]
    rest = {name: value for name, value in known(model).items() if name not in have}

    def run(values: list[Any]) -> Any:
        point = {**rest, **dict(zip(names, values, strict=True))}
        return factor.evaluate(point) if isinstance(factor, Deterministic) else factor.log_density(point)

    traced = jax.make_jaxpr(run)([have[name] for name in names])
    _, used = partial_eval.dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    needed = getattr(getattr(getattr(factor, "call", None), "function", None), "needed", ())
    ignored = [name for name, reads in zip(names, used, strict=True) if not reads and name in factor.parents]
    return [name for name in ignored if name not in needed]
