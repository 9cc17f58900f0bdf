"""A position with the log-density and score found there: the state of the gradient-based samplers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmdsl.inference.target import Target


class ScoredPoint(NamedTuple):
    """A position, its log-density and its score."""

    position: Float[Array, " dim"]
    log_density: Float[Array, ""]
    score: Float[Array, " dim"]


def scored_point(target: Target, x: Float[Array, " dim"]) -> ScoredPoint:
    """The point x of a target, evaluated."""
    return ScoredPoint(x, *target.log_density_and_score(x))


def is_nan(point: ScoredPoint) -> Bool[Array, ""]:
    """Whether the log-density or the score is NaN at a finite position (one that has overflowed is a divergence).

    Where there is no density, its score says nothing.
    """
    nan = jnp.isnan(point.log_density) | (jnp.isnan(point.score).any() & (point.log_density > -jnp.inf))
    return nan & jnp.isfinite(point.position).all()


def choose(first: Bool[Array, ""], one: ScoredPoint, other: ScoredPoint) -> ScoredPoint:
    """One point where the condition holds, else the other."""
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)
