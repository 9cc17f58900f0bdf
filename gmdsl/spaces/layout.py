"""Named real variables as one flat vector, in a fixed order."""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.spaces.space import Space

type Layout = tuple[tuple[str, Space], ...]


def size(layout: Layout) -> int:
    """Length of the flat vector."""
    return sum(math.prod(space.shape) for _, space in layout)


def unflatten(layout: Layout, x: Array) -> dict[str, Array]:
    """Named arrays from a flat vector; leading axes are kept.

    >>> from gmdsl.spaces.space import Real
    >>> {name: value.shape for name, value in unflatten((("a", Real()), ("b", Real(2))), jnp.zeros((5, 3))).items()}
    {'a': (5,), 'b': (5, 2)}
    """
    named, start = {}, 0
    for name, space in layout:
        stop = start + math.prod(space.shape)
        named[name] = x[..., start:stop].reshape(*x.shape[:-1], *space.shape)
        start = stop
    return named


def flatten(layout: Layout, values: Mapping[str, Any]) -> Array:
    """The flat vector of named arrays; leading axes are kept."""
    parts = []
    for name, space in layout:
        value = jnp.asarray(values[name], float)
        parts.append(value.reshape(*value.shape[: value.ndim - len(space.shape)], math.prod(space.shape)))
    return jnp.concatenate(parts, axis=-1)
