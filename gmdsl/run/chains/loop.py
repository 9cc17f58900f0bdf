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
from gmdsl.core.random.keys import chain_words
from gmdsl.core.runtime.garbage import uncollected
from gmdsl.inference.adapter import adapters_of
from gmdsl.inference.sampler import Sampler
from gmdsl.results.tree import constrained
from gmdsl.run.chains.ahead_of_time import Ahead, block_arguments, compile_ahead
from gmdsl.run.chains.batching import Stage, after_warmup, first_mode
from gmdsl.run.chains.block_length import Pace
from gmdsl.run.chains.contract import check_chains
from gmdsl.run.chains.cores import Block, Cores, compiled_block, cores_here, joined, parts_of, split
from gmdsl.run.chains.kernel import Carry, Kernel, Record, make_kernel, run_block, start_chains
from gmdsl.run.chains.starts import FAR_TRIES, TRIES, given_starts, random_starts, resolved, start_error
from gmdsl.run.chains.tuned import Tuned
from gmdsl.run.chains.warmup import schedule
from gmdsl.run.parallel.mesh import everywhere, spread
from gmdsl.run.parallel.placement import WHOLE, Share
from gmdsl.run.progress import Progress
from gmdsl.spaces.space import Real, dtype_of

CAPACITY = 2000  # records in a block at most; a fixed number, so that other lengths compile nothing
USUAL = 250  # likewise, where more would be felt
CHEAP = 2**18  # numbers in buffers whose cost is not felt
NUMBERS = 2**25  # numbers in the buffers of a block at most (128 MB in single precision)


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
class RunPlan:
    """How long and how wide a run is: the settings of `gm.sample` of the same names."""

    chains: int
    draws: int
    warmup: int
    seed: int
    thin: int
    mode: str


@dataclass(frozen=True)
class Setup:
    """A run that is ready to go: the compiled model, the kernel, the keys and the plan.

    Attributes:
        density: the compiled model.
        kernel: the static half of the run.
        arrays: those of the sampler.
        keys: two words for each chain of the share.
        plan: how long and how wide the whole run is.
        name: the sampler's.
        share: the chains that are run here.
        parts: in how many parts they are run.
        cores: of the processor that share the parts.
        then: how they run after warm-up, where that is something else.
    """

    density: Density
    kernel: Kernel
    arrays: Any
    keys: Any
    plan: RunPlan
    name: str
    share: Share = WHOLE
    parts: int = 1
    cores: int = 1
    then: Stage | None = None

    @property
    def total(self) -> int:
        """Records of each chain, warm-up included."""
        return self.plan.warmup + self.plan.draws

    def stages(self, done: int) -> list[tuple[Stage, int]]:
        """What is left after so many records: how the chains run, and up to which record."""
        first = Stage(self.kernel, self.parts)
        if self.then is None:
            return [(first, self.total)]
        return [(stage, end) for stage, end in ((first, self.plan.warmup), (self.then, self.total)) if end > done]

    @property
    def chains(self) -> range:
        """Numbers of the chains that are run here."""
        return self.share.of(self.plan.chains)


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
    outcome = advance(setup, carries, 0, lambda record, done, carries: blocks.append(record), progress, began)
    if not blocks:
        raise KeyboardInterrupt("sample(...): interrupted before the first block of draws was complete.")
    record = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *blocks)
    done, warmup = outcome.done, min(plan.warmup, outcome.done)
    return Run(
        record.position, record.stats, warmup, done, outcome.interrupted, setup.kernel, outcome.carries, outcome.times,
        setup.cores, plan.mode,
    )  # fmt: skip


@uncollected()
def prepared(
    density: Density, sampler: Sampler, plan: RunPlan, mesh: Any = None, share: Share = WHOLE, cores: int | None = None
) -> Setup:
    """The kernel of a run, traced, and the keys of its chains; `mesh` has devices of this process only.

    `cores` of the processor share chains that are not run side by side; all there are when None.
    """
    chains = share.of(plan.chains)
    size = capacity(len(chains), density.dim, plan.warmup + plan.draws)
    sampler, name = sampler.bound(density), type(sampler).__name__
    check_chains(sampler, adapters_of(sampler), plan.chains, first_mode(plan.mode), split=share != WHOLE)
    each = isinstance(sampler, Tuned)
    if isinstance(sampler, Tuned) and sampler.chains != plan.chains:
        raise SpecError(
            f"sample(chains={plan.chains}): the sampler was tuned for {sampler.chains} chains. Take as many, or one set"
            " of settings for all, tuned.pooled()."
        )
    if each and share != WHOLE:
        raise SpecError("sample(...): chains with settings of their own run in one process. Take tuned.pooled().")
    kernel, arrays = make_kernel(density.program, sampler, first_mode(plan.mode), size, plan.thin, mesh, each)
    keys, cores = spread(mesh, chain_words(plan.seed, chains)), cores or cores_here()
    parts = 1 if mesh is not None else parts_of(kernel.mode, len(chains), cores, plan.chains)
    then = None if mesh is not None else after_warmup(kernel, plan.mode, plan.chains, cores)
    busy = min(cores, max(parts, then.parts if then else 1))
    return Setup(density, kernel, arrays, keys, plan, name, share, parts, busy, then)


def advance(
    setup: Setup,
    carries: Carry,
    done: int,
    keep: Callable[[Record, int, list[Carry]], None],
    progress: bool,
    began: float,
    every: int | None = None,
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
        except KeyboardInterrupt:
            interrupted = True
        except SpecError as error:  # raised while tracing, where JAX adds remarks of its own
            raise SpecError(str(error)) from None
    times = {"first_block": way.first, "total": time.perf_counter() - began}
    return Outcome(way.done, joined(way.parts), interrupted, times)


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
    plan, target, size = setup.plan, setup.density.target, setup.kernel.capacity
    phases = np.concatenate([schedule(plan.warmup * plan.thin), np.zeros((plan.draws + size) * plan.thin, np.int8)])
    model = everywhere(setup.kernel.mesh, (target.leaves, target.hoisted))
    way.parts, keys = split(joined(way.parts), stage.parts), split(setup.keys, stage.parts)
    block = _block(setup, stage, model, keys, way.parts)
    while way.done < end:
        records, first = pace.next(way.done - there, end - way.done), way.done * plan.thin
        start = time.perf_counter()
        moved = np.int32(first), np.int32(records), phases[first : first + size * plan.thin]
        record = cores.block(block, model, keys, way.parts, moved)
        pace.took(records, time.perf_counter() - start)
        way.done += records
        yield record


def _block(setup: Setup, stage: Stage, model: Any, keys: list[Any], parts: list[Carry]) -> Block:
    """The block of one part of the chains; where there are several it is compiled here, for threads."""
    if stage.parts == 1:
        return Block(functools.partial(run_block, stage.kernel))
    phases = np.zeros(setup.kernel.capacity * setup.plan.thin, np.int8)
    return compiled_block(stage.kernel, (*model, keys[0], parts[0], np.int32(0), np.int32(0), phases))


def ahead(setup: Setup) -> Ahead:
    """Begins to compile the programs of a run, where that was not done before."""
    stages = [stage for stage, _ in setup.stages(0)]
    return compile_ahead(stages, setup.density.target, setup.arrays, setup.keys, setup.plan.chains)


def shapes(setup: Setup, carries: Carry) -> Record:
    """Shapes and dtypes of one full block of one part of the chains, traced and not run."""
    given = block_arguments(setup.kernel, setup.density.target, carries, setup.keys, setup.parts)
    return run_block.eval_shape(setup.kernel, *given)[1]


def capacity(chains: int, dim: int, total: int) -> int:
    """Records in a block: fewer where positions are so large that buffers would not fit, or cost time for nothing.

    Args:
        chains: how many.
        dim: numbers in a position.
        total: records of each chain in the run.

    >>> capacity(4, 10, 20), capacity(4, 200, 2000), capacity(64, 100_000, 2000), capacity(10_000, 2, 5)
    (2000, 2000, 5, 8)
    """
    numbers = max(1, chains * dim)
    if numbers * CAPACITY <= 8 * CHEAP:
        return CAPACITY
    most = max(1, min(USUAL, CAPACITY, NUMBERS // numbers))
    return most if numbers * most <= CHEAP else min(most, 2 ** max(0, total - 1).bit_length())


def started(setup: Setup, init: Any, begun: Ahead = Ahead()) -> Carry:  # noqa: B008
    """The carries of the chains of a share at their starts, which are checked, once the block is compiled."""
    carries = starts(setup, init, begun)
    if begun.blocks:
        constrained(setup.density, np.zeros((1, 1, setup.density.dim), dtype_of(Real())))  # compiled meanwhile
        begun.wait()
    return spread(setup.kernel.mesh, share_of(setup, carries))


def share_of(setup: Setup, carries: Carry) -> Carry:
    """Those carries of all chains that are run here."""
    if setup.share == WHOLE:
        return carries
    return jax.tree.map(lambda leaf: leaf[setup.chains.start : setup.chains.stop], carries)


def starts(setup: Setup, init: Any, begun: Ahead = Ahead()) -> Carry:  # noqa: B008
    """The carries of all chains of the run at their starts: one program, so that no bit depends on the share."""
    density, kernel = setup.density, setup.kernel
    target, chains, seed = density.target, setup.plan.chains, setup.plan.seed
    keys = chain_words(seed, range(chains))
    x = given_starts(density, init, chains, seed)
    given = x is not None
    if x is None:
        x = random_starts(seed, 0, target, chains)
    begun.wait_for_starts()
    for attempt in range(1, TRIES + 1):
        try:
            carries, lp, smooth = start_chains(
                kernel, target.leaves, target.hoisted, setup.arrays, keys, np.asarray(x, dtype_of(Real()))
            )
        except SpecError as error:  # raised while tracing, where JAX adds remarks of its own
            raise SpecError(str(error)) from None
        good = np.isfinite(lp) & np.asarray(smooth)
        if not given and attempt <= FAR_TRIES:
            good &= resolved(np.asarray(lp))
        if good.all():
            return carries
        bad = int(np.flatnonzero(~good)[0])
        if given or attempt == TRIES:
            raise start_error(density, x[bad], given, TRIES)
        x = np.where(good[:, None], x, random_starts(seed, attempt, target, chains))
    raise AssertionError("unreachable")
