r"""What is missing of observed variables, drawn given all that was seen, also behind hidden variables.

Behind a sum over labels z, or an integral over a Gaussian z,
$p(y_{mis} \mid y_{obs}) = \int p(y_{mis} \mid z, y_{obs})\, p(z \mid y_{obs})\, dz$: labels are drawn given what was
seen, then what is missing given them; of Gaussians the joint law of all that depends on z is known. Variables behind
the same z are drawn together.

Reference:
    Scott, *Bayesian methods for hidden Markov models*, JASA, 2002.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.exact.elimination.blocks import LEAST
from gmdsl.exact.elimination.states import States, states
from gmdsl.exact.gaussian.from_model import factor_form
from gmdsl.exact.marginal import Marginal, MarginalEnergy
from gmdsl.exact.missing import Missing, drawn_given
from gmdsl.exact.rules.forward import Forward
from gmdsl.graph.evaluate import completed, log_density
from gmdsl.graph.factor import Factor, Values
from gmdsl.graph.factors.submodel import Submodel
from gmdsl.graph.factors.wrapped import Wrapped
from gmdsl.graph.rows import NamedRows
from gmdsl.spaces.states import states_per_element


def imputed(key: Array, factor: Factor, values: Values) -> dict[str, Array]:
    """Observed children of a factor that have gaps: what was seen of them, and a draw of what was not.

    Args:
        key: of the draw.
        factor: a factor of a model; without gaps there is nothing to draw.
        values: everything that the factor reads, and its children, NaN where they are missing.

    Raises:
        SpecError: the hidden variables cannot be drawn.
    """
    if isinstance(factor, Missing):
        child = factor.children[0]
        seen = jnp.asarray(values[child])
        return {child: jnp.where(jnp.isnan(seen), factor.imputed(key, values, seen), seen)}
    if isinstance(factor, Wrapped):
        return imputed(key, factor.base, values)
    return (
        _behind_hidden(key, factor, values)
        if isinstance(factor, Marginal | MarginalEnergy) and has_gaps(factor)
        else {}
    )


def has_gaps(factor: Factor) -> bool:
    """Whether gaps are integrated out anywhere inside of a factor."""
    if isinstance(factor, Missing):
        return True
    if isinstance(factor, Submodel | MarginalEnergy):
        parts = factor.parts if isinstance(factor, Submodel) else (factor.part,)
        return any(has_gaps(inside) for part in parts for inside in part.factors)
    return factor.inner is not None and has_gaps(factor.inner)


def hidden_states(key: Array, factor: Marginal | MarginalEnergy, values: Values) -> States | str:
    """What is known of the labels that a factor sums out, given the rest; or why nothing is.

    Args:
        key: of the draw.
        factor: the sum.
        values: everything that the factor reads, and its children, NaN where they are missing.
    """
    inside = {inner: values[outer] for inner, outer in factor.pairs}
    if isinstance(factor.rule, Forward):
        return factor.rule.states(key, factor.part, factor.hidden, inside)
    spaces = {name: factor.part.spaces[name] for name in factor.hidden}
    return states(key, lambda state: log_density(factor.part, NamedRows(inside, state), LEAST), spaces)


def hides_labels(factor: Any) -> bool:
    """Whether a factor sums out discrete variables of finitely many values, and nothing else."""
    if not isinstance(factor, Marginal | MarginalEnergy):
        return False
    return all(states_per_element(factor.part.spaces[name]) is not None for name in factor.hidden)


def _behind_hidden(key: Array, factor: Marginal | MarginalEnergy, values: Values) -> dict[str, Array]:
    key_hidden, key_rest = jax.random.split(key)
    if not hides_labels(factor) and isinstance(factor, Marginal):
        return _of_gaussian(key_rest, factor, values)
    known = hidden_states(key_hidden, factor, values)
    if isinstance(known, str):
        raise SpecError(
            f"{factor.name}: what is missing cannot be drawn, because {', '.join(factor.hidden)} cannot be drawn given"
            f" what was seen ({known}). Use the model from before .marginalize."
        )
    inside = completed(factor.part, {**{inner: values[outer] for inner, outer in factor.pairs}, **known.draw})
    found: dict[str, Array] = {}
    for number, part in enumerate(factor.part.factors):
        found |= imputed(jax.random.fold_in(key_rest, number), part, inside)
    return {outer: found[inner] for inner, outer in factor.pairs if inner in found}


def _of_gaussian(key: Array, factor: Marginal, values: Values) -> dict[str, Array]:
    """All children of a marginal that is a mixture of Gaussians, where they are missing."""
    form = factor_form(_whole(factor), values)
    if form is None:
        raise SpecError(
            f"{factor.name}: what is missing cannot be drawn, because {', '.join(factor.hidden)} was integrated out and"
            " what is left is no mixture of Gaussians. Use the model from before .marginalize."
        )
    seen = {name: jnp.asarray(values[name], float) for name in factor.children}
    flat = jnp.concatenate([jnp.ravel(value) for value in seen.values()])
    drawn = jnp.where(jnp.isnan(flat), drawn_given(key, form, flat), flat)
    parts = jnp.split(drawn, np.cumsum([value.size for value in seen.values()])[:-1])
    return {name: part.reshape(seen[name].shape) for name, part in zip(seen, parts, strict=True)}


def _whole(factor: Any) -> Any:
    """A factor without gaps, inside of hidden variables too."""
    if isinstance(factor, Missing):
        return _whole(factor.base)
    if isinstance(factor, Submodel):
        parts = tuple(
            dataclasses.replace(part, factors=tuple(_whole(inside) for inside in part.factors)) for part in factor.parts
        )
        return dataclasses.replace(factor, parts=parts)
    return factor
