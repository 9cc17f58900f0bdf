"""Ancestral sampling: draw each variable given its parents, in order."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.core.random.repeat import repeated
from gmdsl.core.runtime.precision import full_precision
from gmdsl.graph.capability import capabilities
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Values
from gmdsl.graph.factor_graph import FactorGraph, known
from gmdsl.graph.order import ordered


@full_precision
def draw(model: FactorGraph, key: Array, shape: tuple[int, ...] = ()) -> dict[str, Array]:
    """Independent draws of all random and deterministic variables, `shape` of them."""
    offer = capabilities(model)
    if not offer.drawable:
        raise SpecError(f"sample(...): {offer.reasons['drawable']}. gm.sample runs a sampler on it instead.")
    found = repeated(_one_draw(model), key, shape)
    check_domains("sample(...)", model, found, len(shape))
    return found


def check_domains(operation: str, model: FactorGraph, values: Values, axes: int) -> None:
    """Refuses draws that have no density, because a parameter has left its constraint on the way.

    Args:
        operation: what the user called, for messages.
        model: the model that was drawn from.
        values: draws of all its variables; nothing is said of traced ones.
        axes: how many leading axes number the draws.
    """
    guarded = [factor for factor in model.factors if factor.limited]
    if not guarded or any(isinstance(value, Tracer) for value in jax.tree.leaves(values)):
        return

    def outside(values: Values) -> list[Any]:
        return [factor.log_density({**known(model), **values}) == -jnp.inf for factor in guarded]

    for _ in range(axes):
        outside = jax.vmap(outside)
    for factor, lost in zip(guarded, outside(dict(values)), strict=True):
        share = float(jnp.mean(lost)) if lost.size else 0.0
        if share > 0.0:
            raise SpecError(
                f"{operation}: {' and '.join(factor.limited)} of {factor.children[0]} is outside of its constraint at"
                f" {100 * share:.3g} % of the draws, where the density is zero. Map it inside, as by jnp.exp or"
                " jax.nn.sigmoid, bound its parents, or draw by gm.sample."
            )


@full_precision
def complete(model: FactorGraph, key: Array, values: Values, redraw: tuple[str, ...] = ()) -> dict[str, Any]:
    """Adds to `values` a draw of every variable that is missing or listed in `redraw`, in order."""
    have = {name: value for name, value in {**known(model), **values}.items() if name not in redraw}
    factors = ordered(model.factors)
    keys = jax.random.split(key, len(factors))
    for factor_key, factor in zip(keys, factors, strict=True):
        if isinstance(factor, Deterministic):
            have[factor.child] = factor.evaluate(have)
        elif isinstance(factor, Conditional) and any(child not in have for child in factor.children):
            drawn = factor.draw(factor_key, have)
            have.update({child: value for child, value in drawn.items() if child not in have})
    return have


def _one_draw(model: FactorGraph) -> Any:
    names = [name for name, _ in model.declared]

    def one(key: Array) -> dict[str, Array]:
        values = complete(model, key, {})
        return {name: values[name] for name in names}

    return one
