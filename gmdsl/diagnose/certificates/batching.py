"""Are chains side by side, one after the other, in tiles and on several devices the same chains?"""

import dataclasses
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.diagnose.certificates.certificate import FAILED, NOT_EXAMINED, PASSED, Row
from gmdsl.diagnose.certificates.trials import Trials, positions
from gmdsl.run.chains.setup import RunPlan, prepared
from gmdsl.run.chains.starts import started
from gmdsl.run.parallel.mesh import mesh

BATCHED, SHARDED = "vmap = map = tile", "sharded = on one device"
CLOSE = 1e-6  # relative, in double precision; rounding grows along a chain
PLAN = RunPlan(4, 5, 15, 0, 1, "vmap")


def batching(trials: Trials) -> Row:
    """Draws of a short run, warm-up included, in each chain mode."""
    if trials.each[0].together:
        return Row(BATCHED, NOT_EXAMINED, "chains are tuned together, and so run side by side only")
    with jax.enable_x64(True):
        runs = [_run(trials, dataclasses.replace(PLAN, mode=mode)) for mode in ("vmap", "map", "tile")]
    gap = max(_gap(runs[0], other) for other in runs[1:])
    evidence = f"largest relative difference {gap:.1g} over {PLAN.warmup + PLAN.draws} steps in double precision"
    return Row(BATCHED, PASSED if gap <= CLOSE else FAILED, evidence, f"a difference of {CLOSE:g}")


def sharding(trials: Trials) -> Row:
    """The same short run with its chains spread over the devices."""
    devices = len(jax.devices())
    if devices == 1:
        return Row(SHARDED, NOT_EXAMINED, "there is one device")
    plan = dataclasses.replace(PLAN, chains=2 * devices)
    with jax.enable_x64(True):
        gap = _gap(_run(trials, plan), _run(trials, plan, mesh()))
    evidence = f"largest relative difference {gap:.1g} on {devices} devices"
    return Row(SHARDED, PASSED if gap <= CLOSE else FAILED, evidence, f"a difference of {CLOSE:g}")


def _run(trials: Trials, plan: RunPlan, over: Any = None) -> np.ndarray:
    density = Density(trials.each[0].model)
    setup = prepared(density, trials.sampler, dataclasses.replace(plan, seed=trials.seed), over)
    return positions(setup, started(setup, None))


def _gap(one: np.ndarray, other: np.ndarray) -> float:
    """The largest relative difference; infinite where one is not a number."""
    gap = np.max(np.abs(one - other) / (1.0 + np.abs(one)))
    return float(gap) if np.isfinite(gap) else float("inf")
