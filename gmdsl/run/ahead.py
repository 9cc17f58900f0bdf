"""The block of a run is compiled by a thread, while the starts of the chains are compiled and found.

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

_begun: set[tuple[Any, ...]] = set()


@uncollected()
def compile_ahead(
    kernel: Kernel, target: FlatTarget, arrays: Any, keys: Any, parts: int = 1
) -> Callable[[], None] | None:
    """Begins to compile the block, unless that was done before.

    Args:
        kernel: the static half of a run; one with a mesh is compiled when it is called.
        target: the model's arrays.
        arrays: the sampler's.
        keys: words of the keys of all chains.
        parts: in how many parts the chains are run.

    Returns:
        A function that waits until the block is compiled; None where there is nothing to wait for.

    Raises:
        SpecError: what the tracing of the sampler says.
    """
    key = (kernel, keys.shape, parts, jax.config.jax_enable_x64)
    if kernel.mesh is not None or key in _begun:
        import_early()
        return None
    _begun.add(key)
    try:
        x = jax.ShapeDtypeStruct((keys.shape[0], target.dim), dtype_of(Real()))
        carries = start_chains.eval_shape(kernel, target.leaves, target.hoisted, arrays, keys, x)[0]
        lowered = run_block.lower(kernel, *block_arguments(kernel, target, carries, keys, parts))
    except SpecError as error:  # raised while tracing, where JAX adds remarks of its own
        raise SpecError(str(error)) from None
    thread = threading.Thread(target=_compiled, args=(lowered,), name="gmdsl compiles")
    thread.start()
    import_early()
    return functools.partial(_wait, thread)


def _wait(thread: threading.Thread) -> None:
    """Waits for XLA; Python's search for garbage, which tracing has held off, costs nothing meanwhile."""
    if thread.is_alive() and gc.isenabled():
        gc.collect()
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
