r"""A state of discrete variables with its log-density and the first differences there.

Samplers that are informed of what other values would bring carry it, as samplers of real numbers carry the score. The
differences, $d_{iv} \approx \log p(x \mid x_i = v) - \log p(x)$, cost about as much as the score times the number of
values (`gmdsl.core.jaxprs.first_differences`); they are exact where the log-density is linear in the indicators of
each variable.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.jaxprs.first_differences import first_differences, has_differences
from gmdsl.inference.sampler import refuse_endless
from gmdsl.inference.target import Target


class LabelPoint(NamedTuple):
    """A position, its log-density, and by how much each value of each element changes that."""

    position: Float[Array, " dim"]
    log_density: Float[Array, ""]
    differences: Float[Array, "dim most"]


def label_point(target: Target, x: Float[Array, " dim"]) -> LabelPoint:
    """The state x of a target, evaluated; a fit may hold it as whole numbers."""
    values, _ = values_of(target)
    differences = first_differences(target.log_density, x.astype(values.dtype), values.T)
    return LabelPoint(x, target.log_density(x), differences)


def values_of(target: Target) -> tuple[Float[Array, "dim most"], Bool[Array, "dim most"]]:
    """The values of each element in a row, and which of them there are; rows of fewer values repeat their last.

    Raises:
        SpecError: an element is continuous or has infinitely many values.
    """
    states = [one for one in target.states if one is not None]
    if len(states) != target.dim:
        raise SpecError("a variable is not of finitely many values. Give it to a block of its own: gm.blocks({...}).")
    counts, first, gap = (np.array(column)[:, None] for column in zip(*states, strict=True))
    number = np.arange(counts.max())
    return jnp.asarray(first + gap * np.minimum(number, counts - 1), float), jnp.asarray(number < counts)


def is_at(x: Float[Array, " dim"], target: Target) -> Bool[Array, "dim most"]:
    """Which value each element has."""
    values, known = values_of(target)
    return (jnp.round(x)[:, None] == values) & known


def taken(table: Float[Array, "dim most"], at: Bool[Array, "dim most"]) -> Float[Array, " dim"]:
    """The entry of each row that is marked."""
    return jnp.sum(jnp.where(at, table, 0.0), axis=1)


def log_density_ratio(new: Float[Array, ""], old: Float[Array, ""]) -> Float[Array, ""]:
    """The change of the log-density: no density is never entered, and left for any; NaN stays NaN."""
    ratio = jnp.where(new == -jnp.inf, -jnp.inf, new - old)
    return jnp.where(jnp.isnan(new), jnp.nan, ratio)


def check_informed(sampler: Any, density: Any) -> None:
    """Refuses variables that are not finite and discrete, and a density of which no differences can be taken.

    In a block beside real variables the second is not seen: proposals then say nothing, and the law stays exact.

    Raises:
        SpecError: what is needed, and what to use else.
    """
    refuse_endless(sampler, density)
    places = places_of(density)
    rest = jnp.zeros(density.target.dim)
    if not has_differences(lambda x: density.target.log_density(rest.at[places].set(x)), len(places)):
        raise SpecError(
            f"{type(sampler).__name__}(): the density reads {', '.join(density.free)} by steps that have no"
            " differences, such as a comparison after a sum, a sort or a loop over labels. Use gm.Gibbs()."
        )


def places_of(density: Any) -> np.ndarray:
    """Where the variables to move lie in the flat vector of a compiled model, or of the model of a block."""
    slots = [slot for slot in density.target.slots if slot.name in density.free]
    return np.concatenate([np.arange(slot.start, slot.stop) for slot in slots])


def changed(x: Float[Array, " dim"], new: Float[Array, " dim"]) -> Float[Array, ""]:
    """The share of elements that have another value."""
    return jnp.mean((x != new).astype(float))
