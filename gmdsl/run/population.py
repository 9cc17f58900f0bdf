"""Running a path sampler: log Z with its standard error, or draws in an ArviZ tree.

The standard error comes from leaving out one of twenty groups of particles at a time, which sees
heavy weights better than the usual formula; the effective size of the weights is beside it.
"""

import functools
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.compiler.path import compile_path
from gmdsl.core.errors import SpecError
from gmdsl.core.function import Constant
from gmdsl.core.path import Path, PathSampler, Population
from gmdsl.diagnose.arviz_tree import as_tree, attributes, constants, constrained

GROUPS = 20


@dataclass(frozen=True)
class LogZ:
    """An estimate of the log normalising constant of the end of a path.

    Attributes:
        log_z: the estimate; -inf when no particle reached the target.
        standard_error: by leaving out groups of particles.
        ess: effective number of particles, from the weights.
        curve: `betas` and the estimate at each, for a look at where weights are lost.
        method: what made it.
    """

    log_z: float
    standard_error: float
    ess: float
    curve: dict[str, np.ndarray] = field(repr=False)
    method: str = ""

    @property
    def status(self) -> str:
        """The word "failed" without any weight, "suspect" when fewer than 5 % of the particles count, else "ok"."""
        if not np.isfinite(self.log_z):
            return "failed"
        return "suspect" if self.ess < 0.05 * self.curve["particles"][0] else "ok"


@dataclass(frozen=True)
class Agreement:
    """Estimates of one log Z by several methods, and the largest gap between two in standard errors."""

    rows: tuple[LogZ, ...]

    @property
    def worst(self) -> float:
        gaps = [
            abs(a.log_z - b.log_z) / np.hypot(a.standard_error, b.standard_error)
            for i, a in enumerate(self.rows)
            for b in self.rows[:i]
        ]
        return float(max(gaps, default=0.0))

    def __str__(self) -> str:
        lines = [f"{'method':<40}{'log Z':>10}{'se':>9}{'ESS':>9}"]
        lines += [f"{r.method[:38]:<40}{r.log_z:>10.3f}{r.standard_error:>9.3f}{r.ess:>9.0f}" for r in self.rows]
        return "\n".join([*lines, f"largest gap: {self.worst:.1f} standard errors"])


def log_z(path: Path, sampler: Any, *, seed: int = 0) -> Any:
    """The log normalising constant of the model at the end of a path.

    Args:
        path: made by `gm.temper`; its reference is normalised.
        sampler: a path sampler such as `gm.AIS(gm.MALA())`, or a list of them to compare.
        seed: the same seed gives the same estimate.

    Returns:
        A `LogZ`, or for a list an `Agreement`.

    Raises:
        SpecError: the first argument is not a path, the second not a path sampler.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> path = gm.temper(gm.energy(lambda x: 0.5 * x**2, x=gm.Real()), gm.joint(x=dist.Normal(0, 2)))
    >>> z = gm.log_z(path, gm.AIS(gm.MALA(), particles=500, temperatures=20))
    >>> abs(z.log_z - 0.919) < 4 * z.standard_error
    True
    """
    if isinstance(sampler, list | tuple):
        return Agreement(tuple(log_z(path, one, seed=seed) for one in sampler))
    population = run_population("log_z", path, sampler, seed)
    return _estimate(np.asarray(population.log_weight, float), population, repr(sampler))


def sample_path(path: Path, sampler: PathSampler, *, seed: int = 0) -> Any:
    """The tree of a path sampler: resampled draws in `posterior`, weighted ones in `particles`."""
    population = run_population("sample", path, sampler, seed)
    log_weight = np.asarray(population.log_weight, float)
    found = _estimate(log_weight, population, repr(sampler))
    if not np.isfinite(found.log_z):
        raise SpecError("sample(path, ...): no particle has any weight. Take a reference that covers the target.")
    position = np.asarray(population.position)[None]
    chosen = _systematic(log_weight, seed)
    density = Density(path.reference)
    particles = constrained(density, position)
    resampled = {name: values[:, chosen] for name, values in particles.items()}
    attrs = {
        **attributes(),
        "sampler": type(sampler).__name__,
        "seed": seed,
        "log_z": found.log_z,
        "log_z_standard_error": found.standard_error,
        "weight_ess": found.ess,
    }
    groups = {
        "posterior": resampled,
        "particles": {**particles, "log_weight": log_weight[None].astype(position.dtype)},
        **constants(path.target),
    }
    return as_tree(path.target, groups, attrs)


def run_population(operation: str, path: Any, sampler: Any, seed: int) -> Population:
    """Runs a path sampler, compiled once per structure."""
    if not isinstance(path, Path):
        raise SpecError(f"{operation}(...): a path is needed first, not {type(path).__name__}. Make one by gm.temper.")
    if not isinstance(sampler, PathSampler):
        raise SpecError(
            f"{operation}(...): a path sampler is needed, not {type(sampler).__name__}. Try gm.AIS(gm.MALA())."
        )
    return _run(Constant(sampler), jax.random.key(seed), compile_path(path))


@functools.partial(jax.jit, static_argnums=0)
def _run(sampler: Constant, key: jax.Array, path: Any) -> Population:
    return sampler.value.run(key, path)


def _estimate(log_weight: np.ndarray, population: Population, method: str) -> LogZ:
    n = len(log_weight)
    curve = {"betas": np.asarray(population.betas), "log_z": np.asarray(population.curve), "particles": np.array([n])}
    top = log_weight.max()
    if not np.isfinite(top):
        return LogZ(-np.inf, np.inf, 0.0, curve, method)
    weight = np.exp(log_weight - top)
    estimate = top + np.log(weight.mean())
    groups = min(GROUPS, n)
    sums = np.array([part.sum() for part in np.array_split(weight, groups)])
    sizes = np.array([len(part) for part in np.array_split(weight, groups)])
    left = np.log(np.maximum((weight.sum() - sums) / (n - sizes), np.finfo(float).tiny))
    error = np.sqrt((groups - 1) / groups * np.sum((left - left.mean()) ** 2))
    return LogZ(float(estimate), float(error), float(weight.sum() ** 2 / (weight**2).sum()), curve, method)


def _systematic(log_weight: np.ndarray, seed: int) -> np.ndarray:
    """Indices of equally weighted draws: systematic resampling, then shuffled."""
    rng = np.random.default_rng([seed, 1])
    weight = np.exp(log_weight - log_weight.max())
    edges = np.cumsum(weight / weight.sum())
    points = (rng.uniform() + np.arange(len(weight))) / len(weight)
    return rng.permutation(np.minimum(np.searchsorted(edges, points), len(weight) - 1))
