"""NumPy's random numbers from a JAX key, for draws that are made on the host in double precision."""

import jax
import numpy as np
from jaxtyping import Array


def generator_of(key: Array) -> np.random.Generator:
    """A generator of NumPy that is a function of the key alone.

    >>> first, again = (generator_of(jax.random.key(3)).random() for _ in range(2))
    >>> first == again
    True
    """
    typed = jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    return np.random.default_rng(np.asarray(jax.random.key_data(key) if typed else key).ravel())
