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
from gmdsl.core.sampler import Sampler
from gmdsl.run.kernel import Carry, Kernel, check_step, make_kernel, run_block, start_chains
from gmdsl.run.progress import Progress
from gmdsl.run.start import TRIES, given_starts, random_start, start_error
from gmdsl.run.warmup import schedule

CAPACITY = 250  # records in a block; a fixed number, so that other lengths compile nothing
WIDEST = 128  # chains side by side at most before XLA's CPU code falls off a cliff


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


def run_chains(
    density: Density,
    sampler: Sampler,
    *,
    chains: int,
    draws: int,
    warmup: int,
    seed: int,
    init: Any,
    thin: int,
    progress: bool,
    mode: str,
) -> Run:
    """Runs all chains for `warmup` records and then `draws` records of `thin` steps each."""
    began = time.perf_counter()
    kernel, arrays = make_kernel(density.program, sampler, mode, CAPACITY, thin)
    keys = _keys(seed, chains)
    carries = _start(density, kernel, arrays, keys, init, chains, seed)
    target = density.target
    check_step(kernel, sampler, target.leaves, target.hoisted, keys[0], carries)
    total, phases = warmup + draws, schedule(warmup * thin)
    phases = np.concatenate([phases, np.zeros((draws + CAPACITY) * thin, np.int8)])
    blocks: list[Any] = []
    done, interrupted, first_block = 0, False, 0.0
    with Progress(type(sampler).__name__, warmup, draws, chains, show=progress) as bar:
        try:
            while done < total:
                records = min(CAPACITY, total - done)
                window = phases[done * thin : (done + CAPACITY) * thin]
                carries, record = run_block(
                    kernel, target.leaves, target.hoisted, keys, carries,
                    jnp.int32(done * thin), jnp.int32(records), window,
                )  # fmt: skip
                block = jax.tree.map(lambda a, n=records: np.asarray(a)[:, :n], record)
                blocks.append(block)
                done += records
                first_block = first_block or time.perf_counter() - began
                bar.advance(records, block.stats)
        except KeyboardInterrupt:
            interrupted = True
    record = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *blocks) if blocks else None
    times = {"first_block": first_block, "total": time.perf_counter() - began}
    if record is None:
        raise KeyboardInterrupt("sample(...): interrupted before the first block of draws was complete.")
    return Run(record.position, record.stats, min(warmup, done), done, interrupted, kernel, carries, times)


def choose_mode(sampler: Sampler, chains: int, asked: str | None) -> str:
    """How chains are batched: side by side, unless their work differs or there are very many."""
    if asked is not None:
        return asked
    return "vmap" if sampler.lockstep and chains <= WIDEST else "map"


def _keys(seed: int, chains: int) -> jax.Array:
    key = jax.random.key(seed)
    return jax.vmap(lambda c: jax.random.fold_in(key, c))(jnp.arange(chains))


def _start(density: Density, kernel: Kernel, arrays: Any, keys: Any, init: Any, chains: int, seed: int) -> Carry:
    target, dim = density.target, density.dim
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
