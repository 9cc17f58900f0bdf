"""Chains shared among the cores of a processor: a few threads run a part of them each, by one program.

XLA runs a loop over chains, or over tiles of chains, on one core. Such chains need nothing of each other, and a
compiled program runs outside of Python's lock, so two threads with half of the chains each take half the time on two
cores. A chain does the same arithmetic in whichever part it is, because a part runs its chains one after the other (or
tile by tile) as the whole would.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.run.kernel import Carry, Record, tile_size


def cores_here(processes: int = 1) -> int:
    """Cores that this process may use, a fair share where several processes work together."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // processes)


def check_cores(asked: Any) -> None:
    """Refuses what is no number of cores.

    Raises:
        SpecError: a whole number from 1 on is needed.
    """
    if asked is not None and (not isinstance(asked, int) or isinstance(asked, bool) or asked < 1):
        raise SpecError(f"sample(cores={asked!r}): a whole number of at least 1 is needed, or None for all there are.")


def parts_of(mode: str, chains: int, cores: int) -> int:
    """In how many parts of one size chains are run: by whole tiles; at most one a core, one where all are side by side.

    >>> parts_of("map", 4, 2), parts_of("map", 6, 4), parts_of("map", 3, 2), parts_of("tile", 1000, 3)
    (2, 3, 1, 2)
    >>> parts_of("vmap", 64, 2)
    1
    """
    if mode == "vmap" or jax.default_backend() != "cpu":
        return 1
    tile = tile_size(chains) if mode == "tile" else 1
    if chains % tile:
        return 1
    return max(n for n in range(1, max(1, cores) + 1) if (chains // tile) % n == 0)


def split(tree: Any, parts: int) -> list[Any]:
    """Parts of arrays with a leading axis of chains, in memory of their own."""
    if parts == 1:
        return [tree]

    def cut(leaf: Any, part: int) -> jax.Array:
        size = leaf.shape[0] // parts
        span = slice(part * size, (part + 1) * size)
        numbers = isinstance(leaf.dtype, np.dtype)  # else keys
        return jax.device_put(np.array(np.asarray(leaf)[span])) if numbers else leaf[span]

    return [jax.tree.map(lambda leaf, part=part: cut(leaf, part), tree) for part in range(parts)]


def joined(parts: list[Any]) -> Any:
    """The whole of what was split."""
    if len(parts) == 1:
        return parts[0]

    def join(*leaves: Any) -> Any:
        if isinstance(leaves[0].dtype, np.dtype):
            return np.concatenate([np.asarray(leaf) for leaf in leaves])
        return jax.numpy.concatenate(leaves)

    return jax.tree.map(join, *parts)


class Cores:
    """Threads that run one block of every part at a time; the first part is run by the thread that calls."""

    def __init__(self, parts: int):
        self.pool = ThreadPoolExecutor(parts - 1, "gmdsl chains") if parts > 1 else None
        self.shapes: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.pool is not None:
            self.pool.shutdown()

    def block(
        self, run: Callable[[Any, Carry], tuple[Carry, Record]], keys: list[Any], carries: list[Carry], records: int
    ) -> Record:
        """The records of a block of all chains, on the host.

        Args:
            run: the block of keys and carries; compiled beforehand, as threads do not know of `jax.enable_x64` and
                other contexts of the thread that calls.
            keys: of the chains, by part.
            carries: likewise; those after the block take their places, also when the call is interrupted.
            records: how many are in the buffers.
        """
        first = None
        if self.shapes is None:  # one thread compiles for all of them
            carries[0], first = run(keys[0], carries[0])
            self.shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), first)
        if self.pool is None:
            if first is None:
                carries[0], first = run(keys[0], carries[0])
            return jax.tree.map(lambda a: np.asarray(a)[:, :records], first)
        size, parts = len(keys[0]), len(keys)
        whole = jax.tree.map(lambda a: np.empty((size * parts, records, *a.shape[2:]), a.dtype), self.shapes)

        def one(part: int, record: Any = None) -> None:
            if record is None:
                carries[part], record = run(keys[part], carries[part])
            jax.tree.map(lambda out, a: _put(out[part * size : (part + 1) * size], a, records), whole, record)

        others = [self.pool.submit(one, part) for part in range(1, parts)]
        one(0, first)
        for other in others:
            other.result()
        return whole


def _put(out: np.ndarray, block: Any, records: int) -> None:
    out[...] = np.asarray(block)[:, :records]
