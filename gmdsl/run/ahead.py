"""The blocks of a run are compiled by threads, while the starts of the chains are compiled and found.

XLA works outside of Python's lock and takes most of the time of a first call. What the end of a run needs is imported
meanwhile, too (`gmdsl.run.early`); that is Python's work and would hold up the tracing before.
"""

import contextlib
import functools
import gc
import threading
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.program import FlatTarget
from gmdsl.core.errors import SpecError
from gmdsl.core.space import Real, dtype_of
from gmdsl.core.uncollected import uncollected
from gmdsl.run.early import import_early
from gmdsl.run.kernel import Carry, Kernel, run_block, start_chains
from gmdsl.run.modes import Stage

GRACE = 0.1  # seconds that a search takes: what is not compiled by then takes as long again

_begun: set[tuple[Any, ...]] = set()


@uncollected()
def compile_ahead(stages: list[Stage], target: FlatTarget, arrays: Any, keys: Any) -> Callable[[], None] | None:
    """Begins to compile the blocks of a run, but for those with which that was done before.

    Args:
        stages: how the chains run, one after the other; a kernel with a mesh is compiled when it is called.
        target: the model's arrays.
        arrays: the sampler's.
        keys: words of the keys of all chains.

    Returns:
        A function that waits until the blocks are compiled; None where there is nothing to wait for.

    Raises:
        SpecError: what the tracing of the sampler says.
    """
    names = [(stage, keys.shape, jax.config.jax_enable_x64) for stage in stages if stage.kernel.mesh is None]
    fresh = [name for name in names if name not in _begun]
    _begun.update(fresh)
    threads = []
    try:
        for stage, *_ in fresh:
            x = jax.ShapeDtypeStruct((keys.shape[0], target.dim), dtype_of(Real()))
            carries = start_chains.eval_shape(stages[0].kernel, target.leaves, target.hoisted, arrays, keys, x)[0]
            lowered = run_block.lower(stage.kernel, *block_arguments(stage.kernel, target, carries, keys, stage.parts))
            threads.append(threading.Thread(target=_compiled, args=(lowered,), name="gmdsl compiles"))
            threads[-1].start()
    except SpecError as error:  # raised while tracing, where JAX adds remarks of its own
        raise SpecError(str(error)) from None
    importing = import_early()
    return functools.partial(_wait, threads, importing) if threads else None


def _wait(threads: list[threading.Thread], importing: threading.Thread | None) -> None:
    """Waits for XLA; Python's search for garbage, which tracing has held off, costs nothing meanwhile."""
    if importing is not None:
        importing.join()  # it is needed in the end, and the search would hold it up
    threads[0].join(GRACE)
    if any(thread.is_alive() for thread in threads) and gc.isenabled():
        gc.collect()
    for thread in threads:
        thread.join()


def block_arguments(kernel: Kernel, target: FlatTarget, carries: Carry, keys: Any, parts: int) -> tuple[Any, ...]:
    """What `run_block` gets after the kernel for one part of the chains, as shapes where it moves."""

    def part(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct((leaf.shape[0] // parts, *leaf.shape[1:]), leaf.dtype)

    phases = np.zeros(kernel.capacity * kernel.thin, np.int8)
    keys, carries = jax.tree.map(part, (keys, carries))
    return target.leaves, target.hoisted, keys, carries, np.int32(0), np.int32(0), phases


def _compiled(lowered: Any) -> None:
    with contextlib.suppress(Exception):  # the call itself says what is wrong
        lowered.compile()
