"""Running a path sampler: log Z with its standard error, or draws in an ArviZ tree."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_path import compile_path
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Constant
from gmdsl.inference.generator import Generator
from gmdsl.inference.path import Path, PathSampler, Population
from gmdsl.results.estimate import LogZ, estimate, resampled
from gmdsl.results.tree import as_tree, attributes, constants, constrained
from gmdsl.run.populations.generators import generate, generator_target


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


def log_z(path: Any, sampler: Any, *, seed: int = 0, draws: int = 4096) -> Any:
    """The log normalising constant of the model at the end of a path, or of a model.

    Args:
        path: made by `gm.temper`, its reference normalised; a model for a generator of weighted draws.
        sampler: a path sampler such as `gm.AIS(gm.MALA())`, or a list of them to compare; for a model
            `gm.LearnedReverseDiffusion(...)`.
        seed: the same seed gives the same estimate.
        draws: weighted draws of a generator; path samplers have their own `particles`.

    Returns:
        A `LogZ`, or for a list an `Agreement`.

    Raises:
        SpecError: the first argument is not a path (or model), the second not a sampler for it.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> path = gm.temper(gm.energy(lambda x: 0.5 * x**2, x=gm.Real()), gm.joint(x=dist.Normal(0, 2)))
    >>> z = gm.log_z(path, gm.AIS(gm.MALA(), particles=500, temperatures=20))
    >>> abs(z.log_z - 0.919) < 4 * z.standard_error
    True
    """
    if isinstance(sampler, list | tuple):
        return Agreement(tuple(log_z(path, one, seed=seed, draws=draws) for one in sampler))
    if isinstance(sampler, Generator):
        model = path.target if isinstance(path, Path) else path
        target = generator_target(model, sampler, None)
        stats = generate(sampler, target, draws=draws, seed=seed, progress=False)[2]
        if "log_weight" not in stats:
            raise SpecError(f"log_z(..., {type(sampler).__name__}()): its draws carry no weights; Z stays unknown.")
        return estimate(np.asarray(stats["log_weight"], float), type(sampler).__name__)
    population = run_population("log_z", path, sampler, seed)
    return _summary(population, repr(sampler))


def sample_path(path: Path, sampler: PathSampler, *, seed: int = 0) -> Any:
    """The tree of a path sampler: resampled draws in `posterior`, weighted ones in `particles`."""
    population = run_population("sample", path, sampler, seed)
    log_weight = np.asarray(population.log_weight, float)
    found = _summary(population, repr(sampler))
    if not np.isfinite(found.log_z):
        raise SpecError("sample(path, ...): no particle has any weight. Take a reference that covers the target.")
    position = np.asarray(population.position)[None]
    chosen = resampled(log_weight, seed)
    density = Density(path.reference)
    particles = constrained(density, position)
    draws = {name: values[:, chosen] for name, values in particles.items()}
    attrs = {
        **attributes(),
        "sampler": type(sampler).__name__,
        "seed": seed,
        "log_z": found.log_z,
        "log_z_standard_error": found.standard_error,
        "weight_ess": found.ess,
    }
    groups = {
        "posterior": draws,
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


def _summary(population: Population, method: str) -> LogZ:
    curve = {"betas": np.asarray(population.betas), "log_z": np.asarray(population.curve)}
    return estimate(np.asarray(population.log_weight, float), method, curve)
