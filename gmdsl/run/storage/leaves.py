"""Leaves of a pytree as arrays of NumPy that a state file holds, and back; random keys are their data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def numbers_of(leaf: Any) -> Any:
    """The numbers of a leaf: of random keys their data.

    >>> numbers_of(jax.random.key(7)).tolist(), numbers_of(jnp.arange(2)).tolist()
    ([0, 7], [0, 1])
    """
    return jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def leaf_of(numbers: np.ndarray, like: Any) -> jax.Array:
    """The leaf of these numbers, a random key where `like` is one.

    >>> key = jax.random.key(7)
    >>> bool(leaf_of(np.asarray(numbers_of(key)), key) == key)
    True
    """
    if jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(numbers), impl=jax.random.key_impl(jnp.empty((), like.dtype)))
    return jnp.asarray(numbers)
