"""Running a path sampler, and the tree of its draws."""

import functools
import time
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.pytrees.function import Constant
from gmdsl.core.random.keys import seed_key
from gmdsl.inference.path import Path, PathSampler, Population
from gmdsl.results.estimate import LogZ, estimate
from gmdsl.results.points import constrained
from gmdsl.results.weighted_tree import WeightedDraws, weighted_tree
from gmdsl.run.targets import flat_target


def sample_path(path: Path, sampler: PathSampler, *, seed: int = 0) -> Any:
    """The tree of a path sampler: resampled draws in `posterior`, weighted ones in `particles`."""
    start = time.perf_counter()
    population = run_population("sample", path, sampler, seed)
    position = np.asarray(population.position)[None]
    attrs = {
        "sampler": type(sampler).__name__,
        "sampler_settings": repr(sampler)[:2000],
        "draws_asked": position.shape[1],
        "sampling_time": time.perf_counter() - start,
    }
    drawn = WeightedDraws(
        constrained(Density(path.reference), position), {}, log_z_of(population, repr(sampler)), attributes=attrs
    )
    return weighted_tree(path.target, drawn, seed)


def run_population(operation: str, path: Any, sampler: Any, seed: int) -> Population:
    """Runs a path sampler, compiled once per structure."""
    return _run_compiled(Constant(sampler), seed_key(operation, seed), flat_target(operation, path, sampler))


def log_z_of(population: Population, method: str) -> LogZ:
    """The estimate of log Z that a population gives."""
    curve = {"betas": np.asarray(population.betas), "log_z": np.asarray(population.curve)}
    return estimate(np.asarray(population.log_weight, float), method, curve)


@functools.partial(jax.jit, static_argnums=0)
def _run_compiled(sampler: Constant, key: jax.Array, path: Any) -> Population:
    return sampler.value.run(key, path)
