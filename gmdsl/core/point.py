"""A position with the log-density and score found there: the state of the gradient-based samplers."""

from typing import NamedTuple

from jaxtyping import Array, Float

from gmdsl.core.density import Target


class ScoredPoint(NamedTuple):
    """A position, its log-density and its score."""

    position: Float[Array, " dim"]
    log_density: Float[Array, ""]
    score: Float[Array, " dim"]


def scored_point(target: Target, x: Float[Array, " dim"]) -> ScoredPoint:
    """The point x of a target, evaluated."""
    return ScoredPoint(x, *target.log_density_and_score(x))
