"""What a network is conditioned on, as a vector: numbers as they are, finitely many values as one of n numbers."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.nets.checks import flat
from gmdsl.spaces.space import Space


def condition_size(operation: str, space: Space | None) -> int:
    """Length of the vector that stands for a value of a space; 0 for no space.

    Args:
        operation: what the message calls the network.
        space: real, or with finitely many values.

    Raises:
        SpecError: no space, or one with infinitely many whole numbers.

    >>> import gmdsl as gm
    >>> condition_size("TimeMLP", gm.Categorical(10)), condition_size("TimeMLP", gm.Real(3))
    (10, 3)
    """
    if space is None:
        return 0
    if not isinstance(space, Space):
        raise SpecError(
            f"{operation}(condition={space!r}): a space is needed, such as gm.Categorical(10) for a label or"
            " gm.Real(3)."
        )
    if not space.discrete:
        return math.prod(space.shape)
    if space.cardinality is None:
        raise SpecError(
            f"{operation}(condition={space.title}): whole numbers without an end cannot be encoded one by one. Declare"
            " gm.Categorical(n), or pass them as gm.Real()."
        )
    return math.prod(space.shape) * space.cardinality


def encoded(operation: str, space: Space | None, value: Any) -> Float[Array, " size"]:
    """The vector that stands for a value of a space.

    Raises:
        SpecError: a value where there is no space, none where there is one, or another shape.

    >>> import gmdsl as gm
    >>> encoded("TimeMLP", gm.Categorical(3), 2)
    Array([0., 0., 1.], dtype=float32)
    """
    if (space is None) != (value is None):
        what = "was given c, but declared without" if space is None else "was given no c, but declared with"
        raise SpecError(f"{operation}(...): it {what} condition=. Give both or none.")
    if space is None:
        return jnp.zeros(0)
    vector = flat(operation, "c", value, space.shape)
    if not space.discrete:
        return vector
    numbers = jnp.round((vector - space.first) / space.gap)
    return jax.nn.one_hot(numbers.astype(int), space.cardinality or 0).reshape(-1)
