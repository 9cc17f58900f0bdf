"""The training loop: blocks of compiled steps, losses and states between them.

Training stops at the first loss that is not finite, and what was good before it is kept. With a store it goes on where
it stood; with patience it ends when the held-out loss does not fall any more, and the model is that of the lowest one.

Reference:
    Prechelt, *Early stopping - but when?*, 1998 (here by patience).
"""

import functools
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.errors import FitError, SpecError
from gmdsl.diffusion.noised import Noised
from gmdsl.learning.objective import Data
from gmdsl.models.model import Model
from gmdsl.run import training
from gmdsl.run.progress import Progress
from gmdsl.run.storage.training_store import Standing, TrainingStore
from gmdsl.run.training import End, Fit, Trainer, evaluate, start

HELD = ("held_out_step", "held_out")


@dataclass(frozen=True)
class TrainingJob:
    """What a fit works on.

    Attributes:
        trainer: its static half.
        still: the arrays that are not learned.
        data: what is learned from.
        others: the held-out data, or None.
        key: of all randomness.
        patience: steps without a lower held-out loss after which it ends, or None.
    """

    trainer: Trainer
    still: Any
    data: Data
    others: Data | None
    key: jax.Array
    patience: int | None

    def history(self, course: "Course") -> dict[str, np.ndarray]:
        """What was recorded, by name."""
        names = course.blocks[0] if course.blocks else ()
        found = {name: np.concatenate([block[name] for block in course.blocks]) for name in names}
        return {**found, **(dict(zip(HELD, np.array(course.held).T, strict=True)) if course.held else {})}


@dataclass(frozen=True)
class Course:
    """Where a fit stands.

    Attributes:
        carry: what goes from step to step.
        best: with patience, the learned arrays of the lowest held-out loss.
        done: steps.
        blocks: records of the steps.
        held: steps and held-out losses there.
    """

    carry: Any
    best: Any
    done: int = 0
    blocks: tuple[dict[str, np.ndarray], ...] = ()
    held: tuple[tuple[int, float], ...] = ()

    @property
    def best_step(self) -> int:
        """The step of the lowest held-out loss, the first of several."""
        return min(self.held, key=lambda at: np.inf if np.isnan(at[1]) else at[1])[0] if self.held else 0


def train(job: TrainingJob, moving: Any, steps: int, bar: Progress, store: TrainingStore | None = None) -> Fit:
    """Blocks of steps until done, interrupted, without gain for too long, or not finite."""
    course = _first(job, moving, store)
    if course.done > steps:
        raise SpecError(f"fit(steps={steps}): the store has {course.done} steps already. As many or more are possible.")
    if course.done:
        bar.advance(course.done, {"loss": course.blocks[0]["loss"][-training.BLOCK :]})
    interrupted = False
    try:
        while course.done < steps and not _has_ended(job, course):
            course = _next(job, course, min(training.BLOCK - course.done % training.BLOCK, steps - course.done))
            bar.advance(len(course.blocks[-1]["loss"]), course.blocks[-1])
            if store is not None:
                store.keep(_standing(job, course))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if store is not None:
            store.keep(_standing(job, course), last=True)
    return _result(job, course, interrupted)


def _first(job: TrainingJob, moving: Any, store: TrainingStore | None) -> Course:
    """Where training begins: at the start, or at the newest state of the store."""
    begin = Course(start(job.trainer, job.still, job.data, job.key, moving), moving if job.patience else ())
    standing = None if store is None else store.last((begin.carry, begin.best))
    if standing is None:
        return begin
    record = dict(standing.history)
    held = [(int(step), float(loss)) for step, loss in zip(*(record.pop(name, ()) for name in HELD), strict=True)]
    whole = tuple(at for at in held if at[0] % training.BLOCK == 0 or at[0] == standing.done)
    return Course(*standing.carry, standing.done, (record,) if record else (), whole)


def _standing(job: TrainingJob, course: Course) -> Standing:
    return Standing(course.done, (course.carry, course.best), job.history(course))


def _has_ended(job: TrainingJob, course: Course) -> bool:
    return job.patience is not None and course.done - course.best_step >= job.patience


def _next(job: TrainingJob, course: Course, count: int) -> Course:
    """The course after a block of steps.

    Raises:
        FitError: a loss or a parameter that is not finite.
    """
    at = (job.trainer, job.still, job.data, job.key, course.carry, jnp.int32(course.done))
    carry, record, finite = training.train_block(*at, jnp.int32(count))
    record = {name: np.asarray(values)[:count] for name, values in record.items()}
    bad = np.flatnonzero(~np.isfinite(record["loss"]))
    if bad.size or not bool(finite):
        last = int(bad[0]) if bad.size else count
        kept, carry = _last_finite(functools.partial(training.train_block, *at), course.carry, last)
        blocks = (*course.blocks, {name: values[:kept] for name, values in record.items()})
        good = replace(course, carry=carry, done=course.done + kept, blocks=blocks)
        raise _stop_error(_result(job, good, False), course.done + last)
    new = replace(course, carry=carry, done=course.done + count, blocks=(*course.blocks, record))
    if job.others is None:
        return new
    loss = float(evaluate(job.trainer, job.still, job.others, job.key, carry))
    new = replace(new, held=(*(at for at in course.held if at[0] % training.BLOCK == 0), (new.done, loss)))
    return replace(new, best=_learned(job, carry)) if job.patience and new.best_step == new.done else new


def _learned(job: TrainingJob, carry: Any) -> Any:
    """The learned arrays: their moving average where one was asked for."""
    return carry[0] if job.trainer.average is None else carry[3]


def _last_finite(replay: Any, carry: Any, last: int) -> tuple[int, Any]:
    """How many steps of a block led to a finite loss and finite parameters, and what they left, by doing them again."""
    for count in range(last - 1, 0, -1):
        again, _, finite = replay(jnp.int32(count))
        if bool(finite):
            return count, again
    return 0, carry


def _stop_error(good: Fit, step: int) -> FitError:
    kept = f"the model of step {good.steps}, the last with a finite loss," if good.steps else "the model as given"
    error = FitError(
        f"fit(...): the loss or a parameter is not finite at step {step}. Lower the learning rate or clip gradients;"
        f" {kept} is kept in the .fit of this error."
    )
    error.fit = good
    return error


def _result(job: TrainingJob, course: Course, interrupted: bool) -> Fit:
    """The fit, from where it stands."""
    chosen = job.patience is not None and bool(course.held)
    moving = course.best if chosen else _learned(job, course.carry)
    history = job.history(course)
    # A sampler without an acceptance rate tells NaN at every step: that is nothing.
    history = {name: values for name, values in history.items() if name == "loss" or not np.isnan(values).all()}
    learned, objective = job.trainer.model(moving, job.still), job.trainer.objective.value
    model = learned if isinstance(learned, Model | Noised) else learned.model
    end = End(job.trainer, moving, job.still, course.carry[2], job.data, job.key)
    best = course.best_step if chosen else None
    stopped = not interrupted and bool(_has_ended(job, course))
    return Fit(model, history, course.done, interrupted, stopped, best, learned, objective.bias or "", end)
