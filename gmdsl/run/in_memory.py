"""A run in memory by several processes of `jax.distributed`: each makes its share, and all get the whole."""

import dataclasses
import warnings
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.inference.sampler import Sampler
from gmdsl.run.chains.loop import Run, run_chains
from gmdsl.run.chains.setup import RunPlan
from gmdsl.run.parallel.mesh import local
from gmdsl.run.parallel.placement import ALONE, Place, launched


def alone() -> Place:
    """The place of a run in memory that is not shared; says so where `gmdsl launch` has started several processes."""
    here = launched()
    if here is not None and here.count > 1:
        warnings.warn(
            "sample(...): only runs with store= are shared among the processes of gmdsl launch; each of them makes this"
            " run whole.",
            stacklevel=5,
        )
    return ALONE


def run_together(
    density: Density, sampler: Sampler, plan: RunPlan, *, init: Any, progress: bool, mesh: Any, place: Place,
    cores: int | None = None,
) -> Run:  # fmt: skip
    """Runs this process's share of the chains, and gathers those of the others."""
    run = run_chains(
        density, sampler, plan, init=init, progress=progress, mesh=local(mesh), share=place.share, cores=cores
    )
    if place.count == 1:
        return run
    place.meet()
    return _gather(run)


def _gather(run: Run) -> Run:
    """The chains of all processes, as far as all of them came."""
    from jax.experimental.multihost_utils import process_allgather

    counted = np.array([run.steps, run.interrupted], np.int32)
    steps, stopped = process_allgather(counted).reshape(-1, 2).T
    done = int(steps.min())
    whole = lambda part: np.asarray(process_allgather(np.asarray(part), tiled=True))  # noqa: E731
    position, stats = jax.tree.map(lambda part: whole(part[:, :done]), (run.position, run.stats))
    carries = run.carries._replace(sampler=jax.tree.map(whole, run.carries.sampler))
    return dataclasses.replace(
        run, position=position, stats=stats, carries=carries, warmup=min(run.warmup, done), steps=done,
        interrupted=bool(stopped.any()),
    )  # fmt: skip
