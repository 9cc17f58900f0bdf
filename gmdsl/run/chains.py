"""Running chains: blocks in a loop on the host, with progress, until done or interrupted.

Between two blocks the host sees the draws. That is where progress is shown and where Ctrl-C is
honoured: what was drawn before it is kept.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError
from gmdsl.core.sampler import Sampler
from gmdsl.run.kernel import WIDEST, Carry, Kernel, Record, make_kernel, run_block, start_chains
from gmdsl.run.mesh import everywhere, spread
from gmdsl.run.progress import Progress
from gmdsl.run.start import TRIES, given_starts, random_start, start_error
from gmdsl.run.warmup import schedule

CAPACITY = 250  # records in a block; a fixed number, so that other lengths compile nothing
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
    """A run that is ready to go: the compiled model, the kernel, the keys and the plan."""

    density: Density
    kernel: Kernel
    arrays: Any
    keys: jax.Array
    plan: RunPlan
    name: str

    @property
    def total(self) -> int:
        """Records of each chain, warm-up included."""
        return self.plan.warmup + self.plan.draws


@dataclass(frozen=True)
class Outcome:
    """How far a run came."""

    done: int
    carries: Carry
    interrupted: bool
    times: dict[str, float]


def run_chains(
    density: Density, sampler: Sampler, plan: RunPlan, *, init: Any, progress: bool, mesh: Any = None
) -> Run:
    """Runs all chains for `warmup` records and then `draws` records of `thin` steps each, in memory."""
    began = time.perf_counter()
    setup = prepared(density, sampler, plan, mesh)
    carries = started(setup, init)
    blocks: list[Record] = []
    outcome = advance(setup, carries, 0, lambda record, done, carries: blocks.append(record), progress, began)
    if not blocks:
        raise KeyboardInterrupt("sample(...): interrupted before the first block of draws was complete.")
    record = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *blocks)
    done, warmup = outcome.done, min(plan.warmup, outcome.done)
    return Run(
        record.position, record.stats, warmup, done, outcome.interrupted, setup.kernel, outcome.carries, outcome.times
    )


def prepared(density: Density, sampler: Sampler, plan: RunPlan, mesh: Any = None) -> Setup:
    """The kernel of a run, traced, and its keys."""
    size = capacity(plan.chains, density.dim)
    kernel, arrays = make_kernel(density.program, sampler.bound(density), plan.mode, size, plan.thin, mesh)
    keys = spread(mesh, _keys(plan.seed, plan.chains))
    return Setup(density, kernel, arrays, keys, plan, type(sampler).__name__)


def advance(
    setup: Setup,
    carries: Carry,
    done: int,
    keep: Callable[[Record, int, Carry], None],
    progress: bool,
    began: float,
) -> Outcome:
    """Runs the chains from record `done` to the end, block by block.

    Args:
        setup: what runs.
        carries: one per chain; given back to the device.
        done: records that are there already.
        keep: gets each block, the records done with it, and the carries after it, before they are given away.
        progress: whether to show a bar.
        began: when the run began.
    """
    plan, target, size = setup.plan, setup.density.target, setup.kernel.capacity
    phases = np.concatenate([schedule(plan.warmup * plan.thin), np.zeros((plan.draws + size) * plan.thin, np.int8)])
    leaves, hoisted = everywhere(setup.kernel.mesh, (target.leaves, target.hoisted))
    interrupted, first_block = False, 0.0
    with Progress(setup.name, plan.warmup, plan.draws, plan.chains, show=progress) as bar:
        bar.advance(done, {})
        try:
            while done < setup.total:
                records, first = min(size, setup.total - done), done * plan.thin
                carries, record = run_block(
                    setup.kernel, leaves, hoisted, setup.keys, carries,
                    jnp.int32(first), jnp.int32(records), phases[first : first + size * plan.thin],
                )  # fmt: skip
                record = jax.tree.map(lambda a, n=records: np.asarray(a)[:, :n], record)
                keep(record, done + records, carries)
                done += records
                first_block = first_block or time.perf_counter() - began
                bar.advance(records, record.stats)
        except KeyboardInterrupt:
            interrupted = True
        except SpecError as error:  # raised while tracing, where JAX adds remarks of its own
            raise SpecError(str(error)) from None
    times = {"first_block": first_block, "total": time.perf_counter() - began}
    return Outcome(done, carries, interrupted, times)


def shapes(setup: Setup, carries: Carry) -> Record:
    """Shapes and dtypes of one full block of every chain, traced and not run."""
    target, size = setup.density.target, setup.kernel.capacity * setup.plan.thin
    return jax.eval_shape(
        lambda *args: run_block(setup.kernel, *args),
        target.leaves, target.hoisted, setup.keys, carries, jnp.int32(0), jnp.int32(0), np.zeros(size, np.int8),
    )[1]  # fmt: skip


def choose_mode(sampler: Sampler, chains: int, asked: str | None) -> str:
    """How chains are batched: side by side (in tiles when many), unless their work differs."""
    if asked is not None:
        return asked
    if not sampler.lockstep:
        return "map"
    return "vmap" if chains <= WIDEST else "tile"


def capacity(chains: int, dim: int) -> int:
    """Records in a block: fewer where positions are so large that buffers would not fit.

    >>> capacity(4, 10), capacity(64, 100_000)
    (250, 5)
    """
    return max(1, min(CAPACITY, NUMBERS // max(1, chains * dim)))


def _keys(seed: int, chains: int) -> jax.Array:
    key = jax.random.key(seed)
    return jax.vmap(lambda c: jax.random.fold_in(key, c))(jnp.arange(chains))


def started(setup: Setup, init: Any) -> Carry:
    """The carries of all chains at their starts, which are checked."""
    density, kernel, keys = setup.density, setup.kernel, setup.keys
    target, chains, seed = density.target, setup.plan.chains, setup.plan.seed
    x = given_starts(density, init, chains, seed)
    given = x is not None
    if x is None:
        x = np.stack([random_start(seed, c, 0, target) for c in range(chains)])
    for attempt in range(1, TRIES + 1):
        carries, finite, smooth = start_chains(
            kernel, target.leaves, target.hoisted, setup.arrays, keys, jnp.asarray(x)
        )
        good = np.asarray(finite) & np.asarray(smooth)
        if good.all():
            return spread(kernel.mesh, carries)
        bad = int(np.flatnonzero(~good)[0])
        if given or attempt == TRIES:
            raise start_error(density, x[bad], given, TRIES)
        x = np.stack([x[c] if good[c] else random_start(seed, c, attempt, target) for c in range(chains)])
    raise AssertionError("unreachable")
