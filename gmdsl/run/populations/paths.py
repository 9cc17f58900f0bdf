"""Running a path sampler, and the tree of its draws."""

import dataclasses
import functools
import time
import warnings
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.compiler.rewrites.convolution_layouts import with_fast_convolutions
from gmdsl.core.errors import NaNWarning
from gmdsl.core.pytrees.function import Constant
from gmdsl.core.random.keys import seed_key
from gmdsl.inference.path import Path, PathSampler, Population
from gmdsl.inference.stats import RARE
from gmdsl.results.estimate import LogZ, estimate
from gmdsl.results.points import constrained
from gmdsl.results.reliability import Verdict, doubt_of_walk
from gmdsl.results.weighted_tree import WeightedDraws, weighted_tree
from gmdsl.run.populations.tails import outgrown
from gmdsl.run.targets import flat_target


def sample_path(path: Path, sampler: PathSampler, *, seed: int = 0) -> Any:
    """The tree of a path sampler: resampled draws in `posterior`, weighted ones in `particles`."""
    start = time.perf_counter()
    population, found = run_population("sample", path, sampler, seed)
    position = np.asarray(population.position)[None]
    attrs = {
        "sampler": type(sampler).__name__,
        "sampler_settings": repr(sampler)[:2000],
        "draws_asked": position.shape[1],
        "sampling_time": time.perf_counter() - start,
    }
    if population.broken is not None:
        attrs["nan_share"] = float(population.broken)
    drawn = WeightedDraws(constrained(Density(path.reference), position), {}, found, attributes=attrs)
    return weighted_tree(path.target, drawn, seed)


def run_population(operation: str, path: Any, sampler: Any, seed: int) -> tuple[Population, LogZ]:
    """Runs a path sampler, compiled once per structure; its particles, and the estimate of log Z that they give."""
    target = flat_target(operation, path, sampler)
    bound = sampler.bound(Density(path.target))
    population = _without_padding(_run_compiled(Constant(bound), seed_key(operation, seed), target))
    broken = _warn_of_nan(operation, population.broken)
    if (told := bound.estimate(population)) is not None:
        if broken and told.status == "ok":
            verdict = Verdict("suspect", f"{told.verdict.evidence}; {broken}", "Guard the term that gives NaN.")
            told = dataclasses.replace(told, judged=verdict)
        return population, told
    stages = len(population.betas) - 1 if population.stages is None else int(population.stages)
    curve = {"betas": population.betas, "log_z": population.curve}
    curve = {name: np.asarray(values)[: stages + 1] for name, values in curve.items()}
    log_weight = np.asarray(population.log_weight, float)
    doubt = doubt_of_walk(log_weight, sampler.groups, np.asarray(population.acceptance)[:stages], population.rates)
    doubt = doubt or broken
    tails = outgrown(target, population)
    return population, estimate(log_weight, repr(sampler), curve, tails, sampler.groups, doubt)


def _warn_of_nan(operation: str, share: Any) -> str:
    """A warning where the log-density was NaN at more than one in a thousand places, and the doubt in words."""
    share = 0.0 if share is None else float(share)
    if share <= RARE:
        return ""
    told = f"the log-density was NaN at {100 * share:.3g} % of draws and proposals"
    warnings.warn(
        f"{operation}(...): {told}, which count as places without density: the target is cut there. Guard the term that"
        " gives NaN, or declare the support.",
        NaNWarning,
        stacklevel=6,
    )
    return told


def _without_padding(population: Population) -> Population:
    """The population without the points that only fill up its arrays."""
    if population.count is None:
        return population
    arrays, size = jax.tree.map(np.asarray, population), len(population.log_weight)
    cut = lambda leaf: leaf[: int(arrays.count)] if leaf.ndim and len(leaf) == size else leaf  # noqa: E731
    return jax.tree.map(cut, arrays)


@functools.partial(jax.jit, static_argnums=0)
def _run_compiled(sampler: Constant, key: jax.Array, path: Any) -> Population:
    return with_fast_convolutions(jax.jit(lambda key: sampler.value.run(key, path)))(key)
