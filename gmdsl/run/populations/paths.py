"""Running a path sampler, and the tree of its draws."""

import functools
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_path import compile_path
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Constant
from gmdsl.inference.path import Path, PathSampler, Population
from gmdsl.inference.weights import resampled
from gmdsl.results.estimate import LogZ, estimate
from gmdsl.results.points import constrained
from gmdsl.results.tree import as_tree, attributes, constants


def sample_path(path: Path, sampler: PathSampler, *, seed: int = 0) -> Any:
    """The tree of a path sampler: resampled draws in `posterior`, weighted ones in `particles`."""
    population = run_population("sample", path, sampler, seed)
    log_weight = np.asarray(population.log_weight, float)
    found = summary(population, repr(sampler))
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
    return _run_compiled(Constant(sampler), jax.random.key(seed), compile_path(path))


@functools.partial(jax.jit, static_argnums=0)
def _run_compiled(sampler: Constant, key: jax.Array, path: Any) -> Population:
    return sampler.value.run(key, path)


def summary(population: Population, method: str) -> LogZ:
    """The estimate of log Z that a population gives."""
    curve = {"betas": np.asarray(population.betas), "log_z": np.asarray(population.curve)}
    return estimate(np.asarray(population.log_weight, float), method, curve)
