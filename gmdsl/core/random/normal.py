"""Standard normal noise for the steps of samplers, from half the random bits that `jax.random.normal` draws.

JAX calls Threefry once for each number, so that sharded arrays need no communication, and throws one of
the two words of each call away. The noise of a chain lies on one device, so both are used here: a
Langevin step on a cheap energy spends half of its time on noise.

Reference:
    Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry_2x32
from jaxtyping import Array, Float

from gmdsl.core.random.threefry import threefry, unit, written_out

_LOWEST = np.nextafter(np.float32(-1.0), np.float32(0.0))
_ROOT_TWO = np.float32(np.sqrt(2.0))


def standard_normal(key: Array, shape: tuple[int, ...], dtype: Any) -> Float[Array, "..."]:
    """Independent standard normal numbers, by the inverse of the error function.

    Args:
        key: a random key; of another generator than Threefry, `jax.random.normal` draws.
        shape: of the result.
        dtype: of the result; all but single precision is drawn by `jax.random.normal`.

    >>> import jax
    >>> standard_normal(jax.random.key(0), (2, 3), "float32").shape
    (2, 3)
    """
    if not written_out(key, dtype):
        return jax.random.normal(key, shape, dtype)
    words, count = jax.random.key_data(key), math.prod(shape)
    if not 0 < count <= FEW:
        return _many(count, words).reshape(shape)
    return _few(count)(words).reshape(shape)


FEW = 64  # numbers up to which rounds that are written out are faster


def _many(count: int, words: Array) -> Array:
    return _normal(threefry_2x32((words[0], words[1]), jnp.arange(count, dtype=jnp.uint32)))


@functools.cache
def _few(count: int) -> Any:
    """The same numbers where a chain draws a few of them, from the words of its key.

    LLVM works number by number unless there are a multiple of eight, and XLA would compute just those that are kept, so
    both words of all calls are filled up and fenced off: 71 instead of 519 ns for ten.
    """
    half = -(-count // 2)

    @jax.custom_batching.custom_vmap
    def draw(words: Array) -> Array:
        bits = _bits(words, jnp.minimum(jnp.arange(-(-half // 8) * 8, dtype=jnp.uint32), half - 1), count)
        made = jax.lax.optimization_barrier(_normal(jax.lax.optimization_barrier(jnp.stack(bits))))
        return jnp.concatenate([made[0, :half], made[1, : count - half]])

    @draw.def_vmap
    def side_by_side(size: int, batched: list[bool], words: Array) -> tuple[Array, bool]:
        """Chains along the last axis: 4.8 instead of 31 ns a number for 64 chains of ten."""
        del batched
        low = jnp.broadcast_to(jnp.arange(half, dtype=jnp.uint32)[:, None], (half, size))
        bits = _bits(words.T, low, count)
        if size < NARROW or count == 1:
            made = jnp.concatenate(jax.lax.optimization_barrier([_normal(word) for word in bits]))
        else:
            made = jax.lax.optimization_barrier(_normal(jax.lax.optimization_barrier(jnp.stack(bits))))
        return made.reshape(2 * half, size)[:count].T, True

    return draw


NARROW = 16  # chains side by side from which on both words are worth one array


def _bits(words: Array, low: Array, count: int) -> tuple[Array, Array]:
    """The bits of the first and of the second half of so many numbers, for places in the first half."""
    half = -(-count // 2)
    high = jnp.where(low + half < count, low + half, 0).astype(jnp.uint32)  # JAX fills the last place up by 0
    return threefry((words[0], words[1]), (low, high))


def _normal(bits: Array) -> Array:
    uniform = unit(bits)
    return _ROOT_TWO * jax.lax.erf_inv(jnp.maximum(_LOWEST, uniform * (np.float32(1.0) - _LOWEST) + _LOWEST))
