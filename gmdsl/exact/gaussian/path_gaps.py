r"""A Gaussian path of which some values are missing: the Kalman filter, and draws of what is missing.

Given what was seen up to t - 1 the value is $N(m, P)$; what is seen of it adds a term and conditions m and P; the next
one is $N(A m + b,\, A P A^T + Q)$. The cost is linear in the length. Draws go back from the end.

Reference:
    Durbin, Koopman, *Time Series Analysis by State Space Methods*, 2012, sections 4.3, 4.9 and 4.10.
"""

import math

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from gmdsl.exact.gaussian.from_time_series import PathSteps


def filtered(
    steps: PathSteps, seen: Float[Array, "time size"]
) -> tuple[Float[Array, " time"], tuple[Float[Array, "time size"], Float[Array, "time size size"]]]:
    """The log-density of each value given those before it, and each value given what was seen up to it.

    Args:
        steps: the path.
        seen: its values, NaN where they are missing.

    >>> walk = PathSteps(jnp.ones((1, 1, 1)), jnp.zeros((2, 1)), jnp.ones((2, 1, 1)))
    >>> terms, (mean, covariance) = filtered(walk, jnp.array([[2.0], [jnp.nan]]))
    >>> print(terms[0].round(4), float(abs(terms[1])), mean[1], covariance[1])
    -2.9189 0.0 [2.] [[1.]]
    """
    size = steps.means.shape[1]
    start = (jnp.zeros(size), jnp.zeros((size, size)))
    slopes = jnp.concatenate([jnp.zeros((1, size, size)), steps.slopes])

    def advance(state: tuple[Array, Array], now: tuple[Array, ...]) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        slope, mean, noise, value = now
        ahead, spread = slope @ state[0] + mean, slope @ state[1] @ slope.T + noise
        term, after = _updated(ahead, spread, value)
        return after, (term, *after)

    _, (terms, means, covariances) = jax.lax.scan(advance, start, (slopes, steps.means, steps.covariances, seen))
    return terms, (means, covariances)


def drawn_gaps(key: Array, steps: PathSteps, seen: Float[Array, "time size"]) -> Float[Array, "time size"]:
    """A draw of a path given what was seen of it, which is kept.

    Args:
        key: a key.
        steps: the path.
        seen: its values, NaN where they are missing.
    """
    _, (means, covariances) = filtered(steps, seen)
    noise = jax.random.normal(key, seen.shape)
    last = _drawn(means[-1], covariances[-1], noise[-1], seen[-1])

    def back(after: Array, now: tuple[Array, ...]) -> tuple[Array, Array]:
        slope, ahead, spread, mean, covariance, white, value = now
        total = slope @ covariance @ slope.T + spread
        gain = jnp.linalg.solve(total, slope @ covariance).T
        given = mean + gain @ (after - slope @ mean - ahead)
        found = _drawn(given, covariance - gain @ slope @ covariance, white, value)
        return found, found

    each = (steps.slopes, steps.means[1:], steps.covariances[1:], means[:-1], covariances[:-1], noise[:-1], seen[:-1])
    _, rest = jax.lax.scan(back, last, each, reverse=True)
    return jnp.concatenate([rest, last[None]])


def _updated(mean: Array, covariance: Array, value: Array) -> tuple[Array, tuple[Array, Array]]:
    """The log-density of what is seen of a value, and the Gaussian given it."""
    there = ~jnp.isnan(value)
    gap = jnp.where(there, jnp.nan_to_num(value) - mean, 0.0)
    lower = jnp.linalg.cholesky(_of(covariance, there))
    across = jnp.where(there, covariance, 0.0)
    white = solve_triangular(lower, jnp.column_stack([gap, across.T]), lower=True)
    halved = jnp.sum(jnp.log(jnp.diagonal(lower))) + 0.5 * math.log(2.0 * math.pi) * jnp.sum(there)
    term = -0.5 * jnp.sum(white[:, 0] ** 2) - halved
    both = ~there[:, None] & ~there  # what is seen has no spread left, to the last digit
    after = jnp.where(both, covariance - white[:, 1:].T @ white[:, 1:], 0.0)
    return term, (jnp.where(there, jnp.nan_to_num(value), mean + white[:, 1:].T @ white[:, 0]), after)


def _drawn(mean: Array, covariance: Array, white: Array, value: Array) -> Array:
    """A draw whose seen coordinates are as they were seen."""
    missing = jnp.isnan(value)
    lower = jnp.linalg.cholesky(_of(covariance, missing))
    return jnp.where(missing, mean + lower @ jnp.where(missing, white, 0.0), value)


def _of(covariance: Array, kept: Array) -> Array:
    """The covariance with the rows and columns of the others replaced by those of the identity."""
    return jnp.where(kept[:, None] & kept, covariance, jnp.eye(len(kept)))
