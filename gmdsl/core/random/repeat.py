"""Independent results of a function of a key."""

from typing import Any

import jax
from jaxtyping import Array


def repeated(draw: Any, key: Array, shape: tuple[int, ...]) -> Any:
    """Independent results of `draw(key)`, `shape` of them."""
    if not shape:
        return draw(key)
    return jax.vmap(lambda k: repeated(draw, k, shape[1:]))(jax.random.split(key, shape[0]))
