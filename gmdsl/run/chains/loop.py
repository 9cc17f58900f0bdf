"""Running chains: blocks in a loop on the host, with progress, until done or interrupted.

Between two blocks the host sees the draws. That is where progress is shown and where Ctrl-C is
honoured: what was drawn before it is kept.
"""

import functools
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError
from gmdsl.core.runtime.interrupts import hold
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.target import Target
from gmdsl.run.chains.batching import Stage
from gmdsl.run.chains.block import run_block
from gmdsl.run.chains.block_length import Pace
from gmdsl.run.chains.cores import Block, Cores, compiled_block, joined_chains, split_chains
from gmdsl.run.chains.kernel import Carry, Kernel, Record
from gmdsl.run.chains.setup import RunPlan, Setup, ahead, prepared
from gmdsl.run.chains.starts import started
from gmdsl.run.chains.warmup import schedule
from gmdsl.run.parallel.mesh import everywhere
from gmdsl.run.parallel.placement import WHOLE, Share
from gmdsl.run.progress import Progress


@dataclass
class Run:
    """What a run leaves behind: draws as arrays (chain, draw, ...), and how it went."""

    position: np.ndarray
    stats: dict[str, np.ndarray]
    warmup: int
    steps: int
    interrupted: bool
    kernel: Kernel
    carries: Carry
    times: dict[str, float] = field(default_factory=dict)
    cores: int = 1
    mode: str = "vmap"


@dataclass(frozen=True)
class Outcome:
    """How far a run came."""

    done: int
    carries: Carry
    interrupted: bool
    times: dict[str, float]


def run_chains(
    density: Density, sampler: Sampler, plan: RunPlan, *, init: Any, progress: bool, mesh: Any = None,
    share: Share = WHOLE, cores: int | None = None,
) -> Run:  # fmt: skip
    """Runs the chains of a share for `warmup` records and then `draws` records of `thin` steps each, in memory."""
    began = time.perf_counter()
    setup = prepared(density, sampler, plan, mesh, share, cores)
    carries = started(setup, init, ahead(setup))
    blocks: list[Record] = []
    keep = lambda record, done, carries: blocks.append(record)  # noqa: E731
    outcome = advance(setup, carries, 0, keep, progress, began, ended=hold)
    if not blocks:
        raise KeyboardInterrupt("sample(...): interrupted before the first block of draws was complete.")
    record = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *blocks)
    done, warmup = outcome.done, min(plan.warmup, outcome.done)
    return Run(
        record.position, record.stats, warmup, done, outcome.interrupted, setup.kernel, outcome.carries, outcome.times,
        setup.cores, plan.mode,
    )  # fmt: skip


def advance(
    setup: Setup,
    carries: Carry,
    done: int,
    keep: Callable[[Record, int, list[Carry]], None],
    progress: bool,
    began: float,
    every: int | None = None,
    ended: Callable[[], None] = lambda: None,
) -> Outcome:
    """Runs the chains from record `done` to the end, block by block.

    Args:
        setup: what runs.
        carries: one per chain; given back to the device.
        done: records that are there already.
        keep: gets each block, the records done with it, and the carries after it by part, before they are given away.
        progress: whether to show a bar.
        began: when the run began.
        every: records between commits, at which blocks end; None where no number was asked for.
        ended: called after the last block, and after Ctrl-C, before anything can be lost.
    """
    way = _Way([carries], done)
    bar = Progress(setup.name, setup.plan.warmup, setup.plan.draws, len(setup.chains), show=progress)
    interrupted = False
    with bar, Cores(setup.cores) as cores:
        bar.advance(done, {})
        try:
            for stage, end in setup.stages(done):
                pace = Pace(setup.kernel.capacity, every, (stage, len(setup.chains), setup.cores))
                for record in _records(setup, stage, end, way, cores, pace, done):
                    keep(record, way.done, way.parts)
                    way.first = way.first or time.perf_counter() - began
                    bar.advance(record.position.shape[1], record.stats)
            ended()
        except KeyboardInterrupt:
            ended()
            interrupted = True
        except SpecError as error:  # raised while tracing, where JAX adds remarks of its own
            raise SpecError(str(error)) from None
    times = {"first_block": way.first, "total": time.perf_counter() - began}
    return Outcome(way.done, joined_chains(way.parts), interrupted, times)


@dataclass
class _Way:
    """How far a run has come: the carries by part, the records done, and when the first of them were there."""

    parts: list[Carry]
    done: int
    first: float = 0.0


def _records(
    setup: Setup, stage: Stage, end: int, way: _Way, cores: Cores, pace: Pace, there: int
) -> Generator[Record]:
    """The records of a stage, block by block; `way` goes along."""
    plan, size = setup.plan, setup.kernel.capacity
    phases = np.concatenate([schedule(plan.warmup * plan.thin), np.zeros((plan.draws + size) * plan.thin, np.int8)])
    target = everywhere(setup.kernel.mesh, setup.density.moved)
    way.parts, keys = split_chains(joined_chains(way.parts), stage.parts), split_chains(setup.keys, stage.parts)
    block = _block(setup, stage, target, keys, way.parts)
    while way.done < end:
        records, first = pace.next(way.done - there, end - way.done), way.done * plan.thin
        start = time.perf_counter()
        moved = np.int32(first), np.int32(records), phases[first : first + size * plan.thin]
        record = cores.block(block, target, keys, way.parts, moved)
        pace.took(records, time.perf_counter() - start)
        way.done += records
        yield record


def _block(setup: Setup, stage: Stage, target: Target, keys: list[Any], parts: list[Carry]) -> Block:
    """The block of one part of the chains; where there are several it is compiled here, for threads."""
    if stage.parts == 1:
        return Block(functools.partial(run_block, stage.kernel))
    phases = np.zeros(setup.kernel.capacity * setup.plan.thin, np.int8)
    return compiled_block(stage.kernel, (target, keys[0], parts[0], np.int32(0), np.int32(0), phases))
