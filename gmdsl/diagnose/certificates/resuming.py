"""Does a run that was stopped and resumed give the draws of the run that was not, to the bit?"""

import pathlib
import tempfile
import time
from typing import Any

import numpy as np

from gmdsl.diagnose.certificates.certificate import FAILED, PASSED, Row
from gmdsl.diagnose.certificates.trials import Trials, positions
from gmdsl.run.chains.batching import choose_mode
from gmdsl.run.chains.loop import advance
from gmdsl.run.chains.setup import RunPlan, Setup, prepared
from gmdsl.run.chains.starts import started
from gmdsl.run.resume import facts, resume
from gmdsl.run.storage.store import Store

NAME = "resumed = one go"


def resuming(trials: Trials) -> Row:
    """A run that is stopped within its warm-up and goes on from its store, against one that is not."""
    trial = trials.each[0]
    plan = RunPlan(4, 200, 300, trials.seed, 1, choose_mode(trials.sampler, 4, None))
    setup = prepared(trial.density, trials.sampler, plan)
    whole = positions(setup, started(setup, None))[:, plan.warmup :]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run.zarr"
        _run_and_stop(setup, trials.sampler, path)
        with resume(path, trial.model, trials.sampler, progress=False) as tree:
            group = tree["unconstrained_posterior"]
            names = [slot.name for slot in trial.density.target.slots]
            parts = [group[name].values.reshape(*group[name].shape[:2], -1) for name in names]
    parted = np.concatenate(parts, axis=-1)
    same = parted.shape == whole.shape and np.array_equal(parted, whole, equal_nan=True)
    evidence = f"stopped in warm-up, resumed from its store: {'equal' if same else 'other draws'}"
    return Row(NAME, PASSED if same else FAILED, f"{evidence}, {plan.draws} draws of 4 chains", "one bit that differs")


def _run_and_stop(setup: Setup, sampler: Any, path: pathlib.Path) -> None:
    """A run into a store that is interrupted after its first block."""
    carries = started(setup, None)
    store = Store.create(path, setup, facts(setup, sampler), carries, 1)

    def keep(record: Any, done: int, carries: Any) -> None:
        store.keep(record, done, carries)
        raise KeyboardInterrupt

    advance(setup, carries, 0, keep, False, time.perf_counter())
