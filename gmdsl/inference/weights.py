r"""Weighted points (particles): effective size, means of weights, resampling.

Everything is in logarithms, from the largest weight on, so that nothing overflows. Systematic resampling takes the
points at which the cumulated weights pass $(i + u) / n$; it keeps the mean of every function and adds little noise.

Reference:
    Douc, Cappe, Moulines, *Comparison of resampling schemes for particle filtering*, 2005, arXiv:cs/0507025.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Int


class Particles(NamedTuple):
    """Points with log-weights, unnormalised but comparable between populations: their mean estimates Z."""

    x: Float[Array, "n dim"]
    log_weight: Float[Array, " n"]


def normalized_weights(log_weight: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Weights that add to one; all zero where none of them is finite.

    >>> normalized_weights(np.array([-1e5, -1e5, -np.inf])).tolist()
    [0.5, 0.5, 0.0]
    """
    top = log_weight.max(initial=-np.inf)
    if not np.isfinite(top):
        return np.zeros_like(log_weight)
    weight = np.exp(log_weight - top)
    return weight / weight.sum()


def effective_size(log_weight: Float[Array, " n"]) -> Float[Array, ""]:
    r"""Effective number of points, $(\sum w)^2 / \sum w^2$.

    >>> round(float(effective_size(jnp.log(jnp.array([1.0, 1.0, 2.0])))), 4)
    2.6667
    """
    return jnp.exp(2.0 * logsumexp(log_weight) - logsumexp(2.0 * log_weight))


def effective_size_on_host(log_weight: Float[np.ndarray, " n"]) -> float:
    """The same of a NumPy array in double precision; zero where no weight is finite."""
    squares = (normalized_weights(log_weight) ** 2).sum()
    return float(1.0 / squares) if squares > 0 else 0.0


def log_mean_exp(log_weight: Float[Array, " n"]) -> Float[Array, ""]:
    """The logarithm of the mean of weights."""
    return logsumexp(log_weight) - math.log(log_weight.shape[0])


def systematic(weight: Any, offset: float, count: int) -> Any:
    """Numbers of the points that systematic resampling takes.

    Args:
        weight: weights that add to one, of NumPy or of JAX.
        offset: between 0 and 1, where the comb begins.
        count: how many points are taken.

    >>> systematic(np.array([0.5, 0.0, 0.25, 0.25]), 0.5, 4).tolist()
    [0, 0, 2, 3]
    """
    return weight.cumsum().searchsorted((np.arange(count) + offset) / count).clip(0, len(weight) - 1)


def multinomial(key: Array, weight: Float[Array, " n"], count: int) -> Int[Array, " count"]:
    """Points drawn with their weights, independently, in increasing order."""
    return _passed(weight, jnp.sort(jax.random.uniform(key, (count,), weight.dtype)))


def stratified(key: Array, weight: Float[Array, " n"], count: int) -> Int[Array, " count"]:
    """One point for each of as many equal parts of the unit interval."""
    return _passed(weight, (jnp.arange(count) + jax.random.uniform(key, (count,), weight.dtype)) / count)


def systematic_draw(key: Array, weight: Float[Array, " n"], count: int) -> Int[Array, " count"]:
    """A comb of equal distances with a random beginning."""
    return _passed(weight, (jnp.arange(count) + jax.random.uniform(key, (), weight.dtype)) / count)


def residual(key: Array, weight: Float[Array, " n"], count: int) -> Int[Array, " count"]:
    """As many copies of each point as its weight has whole parts, and the rest by what is left of the weights."""
    scaled = weight / jnp.sum(weight) * count
    whole = jnp.floor(scaled)
    kept = jnp.sum(whole)
    left = multinomial(key, jnp.where(kept < count, scaled - whole, weight), count)
    there = jnp.searchsorted(jnp.cumsum(whole), jnp.arange(count), side="right")
    return jnp.where(jnp.arange(count) < kept, jnp.minimum(there, weight.shape[0] - 1), left)


def _passed(weight: Array, points: Array) -> Array:
    edges = jnp.cumsum(weight)
    return jnp.minimum(jnp.searchsorted(edges, points * edges[-1], side="right"), weight.shape[0] - 1)


RESAMPLING = {
    "systematic": systematic_draw,
    "stratified": stratified,
    "residual": residual,
    "multinomial": multinomial,
}


def resampled(log_weight: Float[np.ndarray, " n"], seed: int) -> Int[np.ndarray, " n"]:
    """Numbers of as many equally weighted draws: systematic resampling, then shuffled."""
    rng = np.random.default_rng([seed, 1])
    return rng.permutation(systematic(normalized_weights(log_weight), rng.uniform(), len(log_weight)))


def thinned(particles: Particles, count: int) -> Particles:
    """At most `count` points, resampled systematically to equal weights when there are more; Z is kept."""
    if particles.x.shape[0] <= count:
        return particles
    chosen = systematic(jax.nn.softmax(particles.log_weight), 0.5, count)
    return Particles(particles.x[chosen], jnp.full(count, log_mean_exp(particles.log_weight)))


def combined(first: Particles, second: Particles, share: Float[Array, ""]) -> Particles:
    """Two populations as one, the second with the given share of the weight."""
    sizes = jnp.log(jnp.array([first.x.shape[0], second.x.shape[0]], first.x.dtype))
    weight = jnp.concatenate(
        [first.log_weight + jnp.log1p(-share) - sizes[0], second.log_weight + jnp.log(share) - sizes[1]]
    )
    return Particles(jnp.concatenate([first.x, second.x]), weight + jnp.logaddexp(sizes[0], sizes[1]))


def draw_points(key: Array, particles: Particles, count: int) -> Float[Array, "count dim"]:
    """Points drawn with their weights, independently."""
    edges = jnp.cumsum(jax.nn.softmax(particles.log_weight))
    points = jax.random.uniform(key, (count,)) * edges[-1]
    return particles.x[jnp.minimum(jnp.searchsorted(edges, points), edges.shape[0] - 1)]
