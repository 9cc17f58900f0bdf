r"""The Gaussian that a path is whose steps are affine, $x_t = A_t x_{t-1} + b_t + \epsilon_t$.

Stacked, $(I - S)\, x = b + \epsilon$ with the matrices $A_t$ below the diagonal of S, so the mean of the path is
$(I - S)^{-1} b$ and its covariance $(I - S)^{-1} Q\, (I - S)^{-T}$: two triangular solves.

Reference:
    Durbin, Koopman, *Time Series Analysis by State Space Methods*, 2012, section 4.13.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from gmdsl.core.jaxprs.affine import AFFINE, CONSTANT, affinity
from gmdsl.exact.gaussian.from_distribution import normal_form
from gmdsl.exact.gaussian.gaussian_mixture import GaussianMixture
from gmdsl.graph.factor import Values
from gmdsl.graph.factors.time_series import Scan


class PathSteps(NamedTuple):
    r"""A Gaussian path step by step, $x_1 \sim N(m_1, Q_1)$, $x_t \mid x_{t-1} \sim N(A_t x_{t-1} + m_t, Q_t)$.

    Attributes:
        slopes: $A_t$ from the second value on.
        means: $m_t$.
        covariances: $Q_t$.
    """

    slopes: Float[Array, "steps size size"]
    means: Float[Array, "time size"]
    covariances: Float[Array, "time size size"]


def path_form(factor: Scan, values: Values) -> GaussianMixture | None:
    """The Gaussian over a flattened path given its parents; None where that is not proved."""
    found = path_steps(factor, values)
    return None if found is None else _stack_steps(found)


def path_steps(factor: Scan, values: Values) -> PathSteps | None:
    """The numbers of a Gaussian path given its parents; None where it is not proved that it is one."""
    steps, shape = factor.steps, factor.space.shape[1:]
    size, count = math.prod(shape), factor.length
    first = normal_form(steps.start(values)) if steps.carry is None else None
    if first is None or len(first.means) != 1:
        return None
    if count == 1:
        return PathSteps(jnp.zeros((0, size, size)), first.means, first.covariances)
    rows = steps.rows(values)

    def after(previous: Array, rows: Values) -> Any:
        return normal_form(steps.following(previous.reshape(shape), None, values, rows)[1])

    zero = jnp.zeros(size)
    states: Any = affinity(lambda u: after(u, jax.tree.map(lambda row: row[0], rows)), zero)
    if states is None or {states.log_weights, states.covariances} != {CONSTANT}:
        return None
    if states.means not in (AFFINE, CONSTANT):
        return None

    def numbers(_: Array, rows: Values) -> tuple[Array, Array, Array]:
        form = after(zero, rows)
        slope = jax.jacfwd(lambda u: after(u, rows).means[0])(zero)
        return slope, form.means, form.covariances

    slopes, means, covariances = jax.vmap(numbers)(jnp.arange(count - 1), rows)
    if means.shape[1] != 1:
        return None
    return PathSteps(
        slopes,
        jnp.concatenate([first.means, means[:, 0]]),
        jnp.concatenate([first.covariances, covariances[:, 0]]),
    )


def _stack_steps(steps: PathSteps) -> GaussianMixture:
    """The Gaussian over all steps from the numbers of each."""
    count, size = steps.means.shape
    blocks = jnp.zeros((count, size, count, size))
    at = jnp.arange(count)
    noise = blocks.at[at, :, at].set(steps.covariances).reshape(count * size, -1)
    below = jnp.eye(count * size) - blocks.at[at[1:], :, at[:-1]].set(steps.slopes).reshape(count * size, -1)
    mean = solve_triangular(below, steps.means.reshape(-1), lower=True, unit_diagonal=True)
    half = solve_triangular(below, noise, lower=True, unit_diagonal=True)
    covariance = solve_triangular(below, half.T, lower=True, unit_diagonal=True)
    return GaussianMixture(jnp.zeros(1), mean[None], covariance[None])
