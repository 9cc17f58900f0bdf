"""Chains shared among the cores of a processor: a few threads run parts of them, by one program.

XLA runs a loop over chains, or over tiles of chains, on one core. Such chains need nothing of each other, and a
compiled program runs outside of Python's lock, so two threads with half of the chains each take half the time on two
cores. A chain does the same arithmetic in whichever part it is, because a part runs its chains one after the other (or
tile by tile) as the whole would.

A few chains that are run one after the other are a part each: their program has no loop over chains in it, a third less
to compile, and serves any number of chains; a thread takes the next chain when it has done one.
"""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.lru import LRU
from gmdsl.inference.target import Target
from gmdsl.run.chains.block import run_block
from gmdsl.run.chains.kernel import Carry, Kernel, Record
from gmdsl.run.chains.tiles import tile_size

LEAST = 32  # chains side by side in a part of those that are cut
FEW = 16  # chains that are a program's call each; a call costs a tenth of a millisecond


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


def parts_of(mode: str, chains: int, cores: int, run: int | None = None, divides: bool = False) -> int:
    """In how many parts of one size chains are run: one a core, by whole tiles; one where all are side by side.

    Args:
        mode: how chains are batched.
        chains: how many are run here.
        cores: that share them.
        run: chains of the whole run, where others are run elsewhere. Up to `FEW` that are run one after the other are a
            part each, whatever the number of cores.
        divides: whether chains side by side are cut, too (`Sampler.divides`), as long as a part has `LEAST` of them.

    >>> parts_of("map", 4, 2), parts_of("map", 3, 1), parts_of("map", 32, 2), parts_of("tile", 1000, 3)
    (4, 3, 2, 2)
    >>> parts_of("vmap", 64, 2), parts_of("vmap", 64, 2, divides=True), parts_of("vmap", 48, 2, divides=True)
    (1, 2, 1)
    """
    if mode == "vmap" and divides and jax.default_backend() == "cpu":
        return max(n for n in range(1, max(1, cores) + 1) if chains % n == 0 and (n == 1 or chains >= n * LEAST))
    if mode == "vmap" or jax.default_backend() != "cpu":
        return 1
    if mode == "map" and (run or chains) <= FEW:
        return chains
    tile = tile_size(chains) if mode == "tile" else 1
    if chains % tile:
        return 1
    return max(n for n in range(1, max(1, cores) + 1) if (chains // tile) % n == 0)


def split_chains(tree: Any, parts: int) -> list[Any]:
    """Parts of arrays with a leading axis of chains, in memory that is shared with nothing else."""
    if parts == 1:
        return [tree]
    leaves, treedef = jax.tree.flatten(tree)
    size = leaves[0].shape[0] // parts
    numbers = [np.array(leaf) if isinstance(leaf.dtype, np.dtype) else leaf for leaf in leaves]  # else keys
    spans = [slice(part * size, (part + 1) * size) for part in range(parts)]
    cut = [jax.tree.unflatten(treedef, [leaf[span] for leaf in numbers]) for span in spans]
    # A thread that knows nothing of `jax.enable_x64` would take numbers of 64 bits for numbers of 32.
    return jax.device_put(cut) if jax.config.jax_enable_x64 else cut


def joined_chains(parts: list[Any]) -> Any:
    """The whole of what was split."""
    if len(parts) == 1:
        return parts[0]

    def join(*leaves: Any) -> Any:
        if isinstance(leaves[0].dtype, np.dtype):
            return np.concatenate([np.asarray(leaf) for leaf in leaves])
        return jax.numpy.concatenate(leaves)

    return jax.tree.map(join, *parts)


Moved = tuple[np.int32, np.int32, np.ndarray]  # the first step of a block, its records, and the phases of its steps


class Block(NamedTuple):
    """The compiled block of one part of the chains.

    Attributes:
        call: gives carries and records from the compiled model, keys, carries and `Moved`. For threads it is compiled
            beforehand, as they do not know of `jax.enable_x64` and other contexts of the thread that calls.
        shapes: of the records of one part; None where there is one part only.
    """

    call: Callable[..., tuple[Carry, Record]]
    shapes: Any = None


def compiled_block(kernel: Kernel, given: tuple[Any, ...]) -> Block:
    """The block of these arguments, compiled for the contexts of the thread that calls; looked up where it is known."""
    leaves, treedef = jax.tree.flatten(given)
    shapes = tuple((np.shape(leaf), leaf.dtype) for leaf in leaves)
    key = (kernel, treedef, shapes, tuple(getattr(jax.config, name) for name in _CONTEXTS))
    known = _COMPILED.get(key)
    if known is not None:
        return known
    compiled = run_block.lower(kernel, *given).compile()
    return _COMPILED.put(key, Block(compiled, compiled.out_info[1]))


_COMPILED: LRU[Any, Block] = LRU(16)
_CONTEXTS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
    "jax_debug_nans",
    "jax_debug_infs",
    "jax_disable_jit",
    "jax_default_device",
)  # what a block that was compiled under other contexts would get wrong


class Cores:
    """Threads that run one block of every part; the thread that calls is one of them.

    Args:
        threads: how many.
    """

    def __init__(self, threads: int):
        self.pool = ThreadPoolExecutor(threads - 1, "gmdsl chains") if threads > 1 else None
        self.threads = threads

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.pool is not None:
            self.pool.shutdown()

    def block(self, block: Block, target: Target, keys: list[Any], carries: list[Carry], moved: Moved) -> Record:
        """The records of a block of all chains, on the host.

        Args:
            block: that of one part of the chains.
            target: the compiled model.
            keys: of the chains, by part.
            carries: likewise; those after the block take their places, also when the call is interrupted.
            moved: what else the block gets.
        """
        records, size, parts = int(moved[1]), len(keys[0]), len(keys)
        if parts == 1:
            carries[0], only = block.call(target, keys[0], carries[0], *moved)
            return jax.tree.map(lambda a: np.asarray(a)[:, :records], only)
        whole = jax.tree.map(lambda a: np.empty((size * parts, records, *a.shape[2:]), a.dtype), block.shapes)
        waiting = deque(range(parts))

        def one(part: int) -> None:
            carries[part], record = block.call(target, keys[part], carries[part], *moved)
            jax.tree.map(lambda out, a: _put(out[part * size : (part + 1) * size], a, records), whole, record)

        def work() -> None:
            """Runs parts until none is left; what fails, or is interrupted, leaves none for the others to begin."""
            while True:
                try:
                    part = waiting.popleft()
                except IndexError:
                    return
                try:
                    one(part)
                except BaseException:
                    waiting.clear()
                    raise

        others = [self.pool.submit(work) for _ in range(min(self.threads, parts) - 1)] if self.pool else []
        work()
        for other in others:
            other.result()
        return whole


def _put(out: np.ndarray, block: Any, records: int) -> None:
    out[...] = np.asarray(block)[:, :records]
