"""Running mean and scatter of a stream of vectors, numerically stable.

Reference:
    Welford, *Note on a method for calculating corrected sums of squares and products*, 1962.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Moments(NamedTuple):
    """Count, mean, and sum of squared (vector) or cross (matrix) deviations."""

    count: Float[Array, ""]
    mean: Float[Array, " dim"]
    scatter: Float[Array, " dim"] | Float[Array, "dim dim"]


def empty(dim: int, dense: bool) -> Moments:
    """Nothing seen yet."""
    return Moments(jnp.zeros(()), jnp.zeros(dim), jnp.zeros((dim, dim) if dense else dim))


def add(moments: Moments, x: Float[Array, " dim"]) -> Moments:
    """One more vector."""
    count = moments.count + 1.0
    before = x - moments.mean
    mean = moments.mean + before / count
    after = x - mean
    spread = jnp.outer(after, before) if moments.scatter.ndim == 2 else after * before
    return Moments(count, mean, moments.scatter + spread)


def add_all(moments: Moments, x: Float[Array, "count dim"]) -> Moments:
    """Some more vectors at once.

    Reference:
        Chan, Golub and LeVeque, *Updating formulae and a pairwise algorithm for computing sample variances*, 1979.
    """
    size, mean = x.shape[0], x.mean(0)
    centred, gap = x - mean, mean - moments.mean
    count = moments.count + size
    dense = moments.scatter.ndim == 2
    inner = centred.T @ centred if dense else jnp.sum(centred**2, axis=0)
    outer = jnp.outer(gap, gap) if dense else gap**2
    scatter = moments.scatter + inner + outer * moments.count * size / count
    return Moments(count, moments.mean + gap * size / count, scatter)


def covariance(moments: Moments, scale: Float[Array, " dim"]) -> Float[Array, " dim"] | Float[Array, "dim dim"]:
    """The estimated variance or covariance, shrunk as in Stan towards a thousandth of `scale`.

    Stan shrinks towards 0.001 in the units of the target; a scale that follows earlier estimates
    makes the result independent of units.
    """
    n = moments.count
    raw = moments.scatter / jnp.maximum(n - 1.0, 1.0)
    floor = jnp.diag(scale) if raw.ndim == 2 else scale
    return (n / (n + 5.0)) * raw + 1e-3 * (5.0 / (n + 5.0)) * floor
