"""All joint states of some discrete variables."""

import math
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.spaces.space import Space


def states_per_element(space: Space) -> int | None:
    """How many values one element has; None when it is not discrete or has infinitely many.

    >>> from gmdsl.spaces.discrete import Categorical, Integer
    >>> states_per_element(Categorical(3, 10)), states_per_element(Integer())
    (3, None)
    """
    return space.cardinality if space.discrete else None


def states_of(space: Space) -> tuple[int, float, float] | None:
    """How many values an element of a discrete space has, the first, and the gap between two; None for other spaces.

    >>> from gmdsl.spaces.space import Real
    >>> from gmdsl.spaces.discrete import Categorical, Spin
    >>> states_of(Categorical(3)), states_of(Spin(2)), states_of(Real())
    ((3, 0.0, 1.0), (2, -1.0, 2.0), None)
    """
    count = states_per_element(space)
    return None if count is None else (count, float(space.first), float(space.gap))


def joint_states(spaces: Mapping[str, Space], most: int) -> dict[str, Array] | None:
    """Every joint state of some variables, one per row; None when there are more than `most`.

    >>> from gmdsl.spaces.discrete import Binary, Spin
    >>> {name: rows.tolist() for name, rows in joint_states({"a": Binary(), "s": Spin()}, 10).items()}
    {'a': [0, 0, 1, 1], 's': [-1, 1, -1, 1]}
    """
    sizes = [states_per_element(space) for space in spaces.values()]
    counts = [size for size, space in zip(sizes, spaces.values(), strict=True) for _ in range(math.prod(space.shape))]
    if None in counts or math.prod(count or 1 for count in counts) > most:
        return None
    rows = np.indices([count or 1 for count in counts]).reshape(len(counts), -1).T
    found, start = {}, 0
    for name, space in spaces.items():
        stop = start + math.prod(space.shape)
        found[name] = labelled(space, rows[:, start:stop].reshape(-1, *space.shape))
        start = stop
    return found


def element_states(spaces: Mapping[str, Space]) -> dict[str, Array]:
    """Every joint state of one element of some finite discrete variables, one per row.

    >>> from gmdsl.spaces.discrete import Categorical
    >>> element_states({"k": Categorical(3, 50)})["k"].tolist()
    [0, 1, 2]
    """
    counts = [states_per_element(space) or 1 for space in spaces.values()]
    rows = np.indices(counts).reshape(len(counts), -1)
    return {name: labelled(space, row) for (name, space), row in zip(spaces.items(), rows, strict=True)}


def labelled(space: Space, numbers: np.ndarray) -> Array:
    """The values of a space from their numbers 0, 1, ...: a spin counts -1, +1."""
    return jnp.asarray(space.first + space.gap * numbers)
