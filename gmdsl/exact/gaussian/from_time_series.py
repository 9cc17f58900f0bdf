r"""The Gaussian that a path is whose steps are affine, $x_t = A_t x_{t-1} + b_t + \epsilon_t$.

Stacked, $(I - S)\, x = b + \epsilon$ with the matrices $A_t$ below the diagonal of S, so the mean of the path is
$(I - S)^{-1} b$ and its covariance $(I - S)^{-1} Q\, (I - S)^{-T}$: two triangular solves.

Reference:
    Durbin, Koopman, *Time Series Analysis by State Space Methods*, 2012, section 4.13.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array

from gmdsl.core.jaxprs.affine import AFFINE, CONSTANT, affinity
from gmdsl.exact.gaussian.from_distribution import normal_form
from gmdsl.exact.gaussian.gaussian_mixture import GaussianMixture
from gmdsl.graph.factor import Values
from gmdsl.graph.factors.time_series import Scan


def path_form(factor: Scan, values: Values) -> GaussianMixture | None:
    """The Gaussian over a flattened path given its parents; None where that is not proved."""
    steps, shape = factor.steps, factor.space.shape[1:]
    size, count = math.prod(shape), factor.length
    first = normal_form(steps.start(values)) if steps.carry is None else None
    if first is None or len(first.means) != 1:
        return None
    if count == 1:
        return first
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
    means, covariances = (
        jnp.concatenate([one[None], rest]) for one, rest in ((first.means, means), (first.covariances, covariances))
    )
    return _stack_steps(slopes, means, covariances)


def _stack_steps(slopes: Array, means: Array, covariances: Array) -> GaussianMixture:
    """The Gaussian over all steps from the numbers of each."""
    count, _, size = means.shape
    blocks = jnp.zeros((count, size, count, size))
    at = jnp.arange(count)
    noise = blocks.at[at, :, at].set(covariances[:, 0]).reshape(count * size, -1)
    below = jnp.eye(count * size) - blocks.at[at[1:], :, at[:-1]].set(slopes).reshape(count * size, -1)
    mean = solve_triangular(below, means.reshape(-1), lower=True, unit_diagonal=True)
    half = solve_triangular(below, noise, lower=True, unit_diagonal=True)
    covariance = solve_triangular(below, half.T, lower=True, unit_diagonal=True)
    return GaussianMixture(jnp.zeros(1), mean[None], covariance[None])
