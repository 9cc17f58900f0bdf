"""Running chains: blocks in a loop on the host, with progress, until done or interrupted.

Between two blocks the host sees the draws. That is where progress is shown and where Ctrl-C is
honoured: what was drawn before it is kept.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError
from gmdsl.core.sampler import Sampler
from gmdsl.run.kernel import WIDEST, Carry, Kernel, make_kernel, run_block, start_chains
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


def run_chains(density: Density, sampler: Sampler, plan: RunPlan, *, init: Any, progress: bool) -> Run:
    """Runs all chains for `warmup` records and then `draws` records of `thin` steps each."""
    began = time.perf_counter()
    size = capacity(plan.chains, density.dim)
    kernel, arrays = make_kernel(density.program, sampler, plan.mode, size, plan.thin)
    keys = _keys(plan.seed, plan.chains)
    carries = _start(density, kernel, arrays, keys, init, plan)
    target = density.target
    total, phases = plan.warmup + plan.draws, schedule(plan.warmup * plan.thin)
    phases = np.concatenate([phases, np.zeros((plan.draws + size) * plan.thin, np.int8)])
    blocks: list[Any] = []
    done, interrupted, first_block = 0, False, 0.0
    with Progress(type(sampler).__name__, plan.warmup, plan.draws, plan.chains, show=progress) as bar:
        try:
            while done < total:
                records, first = min(size, total - done), done * plan.thin
                carries, record = run_block(
                    kernel, target.leaves, target.hoisted, keys, carries,
                    jnp.int32(first), jnp.int32(records), phases[first : first + size * plan.thin],
                )  # fmt: skip
                blocks.append(jax.tree.map(lambda a, n=records: np.asarray(a)[:, :n], record))
                done += records
                first_block = first_block or time.perf_counter() - began
                bar.advance(records, blocks[-1].stats)
        except KeyboardInterrupt:
            interrupted = True
        except SpecError as error:  # raised while tracing, where JAX adds remarks of its own
            raise SpecError(str(error)) from None
    if not blocks:
        raise KeyboardInterrupt("sample(...): interrupted before the first block of draws was complete.")
    record = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *blocks)
    times = {"first_block": first_block, "total": time.perf_counter() - began}
    return Run(record.position, record.stats, min(plan.warmup, done), done, interrupted, kernel, carries, times)


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


def _start(density: Density, kernel: Kernel, arrays: Any, keys: Any, init: Any, plan: RunPlan) -> Carry:
    target, dim, chains, seed = density.target, density.dim, plan.chains, plan.seed
    x = given_starts(density, init, chains, seed)
    given = x is not None
    if x is None:
        x = np.stack([random_start(seed, c, 0, dim) for c in range(chains)])
    for attempt in range(1, TRIES + 1):
        carries, finite, smooth = start_chains(kernel, target.leaves, target.hoisted, arrays, keys, jnp.asarray(x))
        good = np.asarray(finite) & np.asarray(smooth)
        if good.all():
            return carries
        bad = int(np.flatnonzero(~good)[0])
        if given or attempt == TRIES:
            raise start_error(density, x[bad], given, TRIES)
        x = np.stack([x[c] if good[c] else random_start(seed, c, attempt, dim) for c in range(chains)])
    raise AssertionError("unreachable")
