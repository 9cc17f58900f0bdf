"""The programs of a run are compiled by threads: the starts while the blocks are traced, the blocks while chains start.

XLA works outside of Python's lock and takes most of the time of a first call. What the end of a run needs is imported
meanwhile, too (`gmdsl.run.chains.early_imports`); that is Python's work and would hold up the tracing before.
"""

import contextlib
import gc
import threading
from typing import Any, NamedTuple

import jax
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.runtime.garbage import uncollected
from gmdsl.inference.target import Target
from gmdsl.run.chains.batching import Stage
from gmdsl.run.chains.block import run_block, start_chains
from gmdsl.run.chains.early_imports import import_early
from gmdsl.run.chains.kernel import Carry, Kernel
from gmdsl.spaces.space import Real, dtype_of

GRACE = 0.1  # seconds that a search takes: what is not compiled by then takes as long again

_begun: set[tuple[Any, ...]] = set()


class Ahead(NamedTuple):
    """What threads compile and import for a run."""

    starts: threading.Thread | None = None
    blocks: tuple[threading.Thread, ...] = ()
    importing: threading.Thread | None = None

    def wait_for_starts(self) -> None:
        """Waits until the program of the starts is there."""
        if self.starts is not None:
            self.starts.join()

    def wait(self) -> None:
        """Waits for the rest; Python's search for garbage, which tracing has held off, costs nothing meanwhile."""
        if not self.blocks:
            return
        if self.importing is not None:
            self.importing.join()  # it is needed in the end, and the search would hold it up
        self.blocks[0].join(GRACE)
        if any(thread.is_alive() for thread in self.blocks) and gc.isenabled():
            gc.collect()
        for thread in self.blocks:
            thread.join()


@uncollected()
def compile_ahead(stages: list[Stage], target: Target, arrays: Any, keys: Any, chains: int) -> Ahead:
    """Begins to compile the programs of a run, but for those with which that was done before.

    Args:
        stages: how the chains run, one after the other; a kernel with a mesh is compiled when it is called.
        target: the compiled model.
        arrays: the sampler's.
        keys: words of the keys of the chains that are run here.
        chains: how many there are in all, whose starts are found together.

    Raises:
        SpecError: what the tracing of the sampler says.
    """
    names = [(stage, keys.shape, chains, jax.config.jax_enable_x64) for stage in stages if stage.kernel.mesh is None]
    fresh = [name for name in names if name not in _begun]
    _begun.update(fresh)
    if not fresh:
        return Ahead(importing=import_early())
    try:
        found, carries = _starts(stages[0].kernel, target, arrays, keys, chains)
        starting = _thread(found)  # first: the blocks are still traced while XLA works on it
        blocks = []
        for stage, *_ in fresh:
            given = block_arguments(stage.kernel, target, carries, keys, stage.parts)
            blocks.append(_thread(run_block.lower(stage.kernel, *given)))
    except SpecError as error:  # raised while tracing, where JAX adds remarks of its own
        raise SpecError(str(error)) from None
    return Ahead(starting, tuple(blocks), import_early())


def _starts(kernel: Kernel, target: Target, arrays: Any, keys: Any, chains: int) -> tuple[Any, Carry]:
    """The lowered program of the starts of all chains, and the carries of those that are run here, as shapes."""
    words = jax.ShapeDtypeStruct((chains, *keys.shape[1:]), keys.dtype)
    x = jax.ShapeDtypeStruct((chains, target.dim), dtype_of(Real()))
    lowered = start_chains.lower(kernel, target, arrays, words, x)
    carries = lowered.out_info[0]
    return lowered, jax.tree.map(lambda a: jax.ShapeDtypeStruct((keys.shape[0], *a.shape[1:]), a.dtype), carries)


def _thread(lowered: Any) -> threading.Thread:
    thread = threading.Thread(target=_compile, args=(lowered,), name="gmdsl compiles")
    thread.start()
    return thread


def block_arguments(kernel: Kernel, target: Target, carries: Carry, keys: Any, parts: int) -> tuple[Any, ...]:
    """What `run_block` gets after the kernel for one part of the chains, as shapes where it moves."""

    def part(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct((leaf.shape[0] // parts, *leaf.shape[1:]), leaf.dtype)

    phases = np.zeros(kernel.capacity * kernel.thin, np.int8)
    keys, carries = jax.tree.map(part, (keys, carries))
    return target, keys, carries, np.int32(0), np.int32(0), phases


def _compile(lowered: Any) -> None:
    with contextlib.suppress(Exception):  # the call itself says what is wrong
        lowered.compile()
