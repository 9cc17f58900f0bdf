r"""A log-Gaussian Cox process: points in the unit square whose intensity is the exponential of a Gaussian field.

The square has M by M cells, in row-major order of $\lfloor M u \rfloor$ for a point u. The field f on them is
Gaussian with mean m and covariance $K_{ij} = \sigma^2 e^{-|i - j| / (\ell M)}$, $|i - j|$ in cells. A Poisson process
of intensity $e^{f}$, with n_i points in cell i, has the density (against the process of intensity 1, but for a factor
e)

$$\log p(\text{points} \mid f) = \sum_i \left( n_i f_i - e^{f_i} / M^2 \right).$$

Log Z, the evidence of the points, is not known exactly. With the 126 saplings of Scots pine that are usually taken,
annealed importance sampling gives 468.39 with M = 6 and 494.36 with M = 8, both to about 0.01.

Reference:
    Møller, Syversveen and Waagepetersen, *Log Gaussian Cox processes*, Scandinavian Journal of Statistics 25, 1998.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.energies.truths.arguments import check_number, check_table, check_whole
from gmdsl.energies.truths.known_target import KnownTarget
from gmdsl.graph.nodes import data
from gmdsl.models.declare.energy import from_callable
from gmdsl.models.declare.joint import joint
from gmdsl.spaces.space import Real


def cox_process(
    points: Any,
    grid: int,
    *,
    variance: float = 1.91,
    length: float = 1.0 / 33.0,
    mean: float | None = None,
    whitened: bool = True,
) -> KnownTarget:
    r"""The posterior of the log-intensity of points in the unit square.

    Args:
        points: their places, (n, 2), between 0 and 1.
        grid: M, how many cells there are along each side.
        variance: $\sigma^2$ of the field.
        length: $\ell$, over which it decays, in sides of the square.
        mean: m; by default such that the expected number of points is theirs, $\log n - \sigma^2 / 2$.
        whitened: whether the variable is the vector `e` of unit Gaussians with f = L e + m and K = L L^T; otherwise
            it is the field `f` itself, a harder target. Both have M^2 elements and one log Z.

    Returns:
        The target; the reference is the prior. Neither log Z nor moments are known.

    Raises:
        SpecError: points outside of the square, or a setting that is not above zero.

    >>> import gmdsl as gm
    >>> target = gm.energies.cox_process([[0.1, 0.2], [0.6, 0.9], [0.7, 0.8]], 4)
    >>> target.model.spaces["e"], target.log_z is None
    (Real(shape=(16,)), True)
    """
    grid = check_whole("cox_process", "grid", grid, 1)
    variance = check_number("cox_process", "variance", variance, above=0.0)
    length = check_number("cox_process", "length", length, above=0.0)
    counts = _count(points, grid)
    level = np.log(counts.sum()) - 0.5 * variance if mean is None else check_number("cox_process", "mean", mean)
    places = np.stack(np.meshgrid(np.arange(grid), np.arange(grid), indexing="ij"), -1).reshape(-1, 2)
    distance = np.linalg.norm(places[:, None] - places, axis=-1)
    factor = np.linalg.cholesky(variance * np.exp(-distance / (length * grid)))
    factor = factor.astype(jax.dtypes.canonicalize_dtype(float))  # its smallest elements may round to one number
    cells, shift = grid**2, float(level)

    def log_likelihood_of_field(f: Array, counts: Array) -> Array:
        return jnp.sum(counts * f - jnp.exp(f) / cells)

    def log_likelihood(e: Array, factor: Array, counts: Array) -> Array:
        return log_likelihood_of_field(factor @ e + shift, counts)

    if whitened:
        prior = joint(e=dist.Normal(0.0, 1.0).expand([cells]).to_event(1))
        seen = from_callable(log_likelihood, e=Real(cells), factor=data(factor), counts=data(counts))
    else:
        prior = joint(f=dist.MultivariateNormal(np.full(cells, shift), scale_tril=factor))
        seen = from_callable(log_likelihood_of_field, f=Real(cells), counts=data(counts))
    return KnownTarget(model=prior * seen, reference=prior)


def _count(points: Any, grid: int) -> np.ndarray:
    """How many points each cell holds; the far sides belong to the last cells."""
    table = check_table("cox_process", "points", points, 2)
    if table.shape[1] != 2 or table.min() < 0 or table.max() > 1:
        raise SpecError(
            f"cox_process(points=...): shape {table.shape} with values from {table.min():g} to {table.max():g}, but"
            " points of the unit square are needed, (n, 2). Rescale them."
        )
    cell = np.minimum((table * grid).astype(int), grid - 1)
    return np.bincount(cell[:, 0] * grid + cell[:, 1], minlength=grid**2).astype(float)
