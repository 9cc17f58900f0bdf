"""Draws of NumPyro's distributions, whole numbers as integers."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array


def as_drawn(distribution: Any, key: Array, shape: tuple[int, ...] = ()) -> Array:
    """Draws of a distribution; those of a discrete one are integers, which NumPyro's `Geometric` does not give."""
    return whole(distribution, distribution.sample(key, shape))


def whole(distribution: Any, value: Any) -> Array:
    """A value of a distribution, as integers where the distribution is discrete."""
    discrete = distribution.support.is_discrete and jnp.issubdtype(jnp.result_type(value), jnp.floating)
    return jnp.asarray(value, int) if discrete else jnp.asarray(value)
