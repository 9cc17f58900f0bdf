"""Standard normal noise for the steps of samplers, from half the random bits that `jax.random.normal` draws.

JAX calls Threefry once for each number, so that sharded arrays need no communication, and throws one of
the two words of each call away. The noise of a chain lies on one device, so both are used here: a
Langevin step on a cheap energy spends half of its time on noise.

Reference:
    Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry_2x32
from jaxtyping import Array, Float

_ONE = np.uint32(0x3F800000)  # the bits of 1.0: with 23 random bits below, a number in [1, 2)
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
    if np.dtype(dtype) != np.float32 or str(jax.random.key_impl(key)) != "threefry2x32":
        return jax.random.normal(key, shape, dtype)
    words = jax.random.key_data(key)
    bits = threefry_2x32((words[0], words[1]), jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape))
    uniform = jax.lax.bitcast_convert_type((bits >> 9) | _ONE, jnp.float32) - np.float32(1.0)
    return _ROOT_TWO * jax.lax.erf_inv(jnp.maximum(_LOWEST, uniform * (np.float32(1.0) - _LOWEST) + _LOWEST))
