"""What the networks of this shelf check: sizes when they are made, shapes when they are called."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.spaces.space import Shape


def as_shape(operation: str, name: str, size: Any) -> Shape:
    """The shape that a size stands for: `3` is the shape (3,), a tuple is itself.

    Args:
        operation: what the message calls the network.
        name: what the message calls the argument.
        size: a whole number, or a tuple of them; () for a single number.

    Raises:
        SpecError: a size is not a whole number of at least 1.

    >>> as_shape("GaussianDecoder", "size", 5), as_shape("GaussianDecoder", "size", (8, 8))
    ((5,), (8, 8))
    """
    sizes = tuple(size) if isinstance(size, tuple | list) else (size,)
    for one in sizes:
        if not _whole(one) or one < 1:
            raise SpecError(
                f"{operation}({name}={size!r}): a size is a whole number of at least 1, or a tuple of them."
                " Pass the shape of one point, without a batch axis."
            )
    return tuple(int(one) for one in sizes)


def check_layers(operation: str, width: Any, depth: Any, key: Any) -> None:
    """Checks the numbers that every multilayer network has in common.

    Raises:
        SpecError: `width` below 1, `depth` below 0, or a key that is not a JAX random key.
    """
    if not _whole(width) or width < 1:
        raise SpecError(f"{operation}(width={width!r}): units per layer are a whole number of at least 1, such as 128.")
    if not _whole(depth) or depth < 0:
        raise SpecError(f"{operation}(depth={depth!r}): hidden layers are a whole number of at least 0, such as 2.")
    if not isinstance(key, jax.Array):
        raise SpecError(f"{operation}(key={key!r}): a JAX random key is needed. Pass jax.random.key(0).")


def flat(operation: str, name: str, value: Any, shape: Shape) -> Array:
    """One point as a vector, checked against the declared shape.

    Args:
        operation: what the message calls the network.
        name: what the message calls the argument.
        value: the point.
        shape: what was declared.

    Raises:
        SpecError: another shape.

    >>> flat("TimeMLP", "x", [[1.0, 2.0]], (1, 2))
    Array([1., 2.], dtype=float32)
    """
    array = jnp.asarray(value)
    if array.shape != shape:
        raise SpecError(
            f"{operation}({name}): shape {array.shape}, but {name} was declared {shape}."
            f" Pass one point of shape {shape}; use jax.vmap for many."
        )
    return array.reshape(math.prod(shape))


def _whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)
