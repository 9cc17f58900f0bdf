"""Named values of which many are rows of one array.

A model of a thousand scalars is evaluated as a few arrays. A name is cut out of its array when somebody reads it alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


class Rows(dict[str, Any]):
    """Values by name; `have.add(names, array)` makes every name a row of the array.

    >>> have = Rows(b=jnp.array(7.0))
    >>> have.add(("x0", "x1", "x2"), jnp.array([1.0, 2.0, 3.0]))
    >>> float(have["x1"]), have.stacked(("x2", "x0")).tolist(), have.stacked(("b", "x0")).tolist()
    (2.0, [3.0, 1.0], [7.0, 1.0])
    """

    def __init__(self, *args: Any, **named: Any):
        super().__init__(*args, **named)
        self._arrays: list[Array] = []
        self._where: dict[str, tuple[int, int]] = {}

    def __missing__(self, name: str) -> Any:
        number, row = self._where[name]
        self[name] = self._arrays[number][row]
        return self[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._where

    def add(self, names: Sequence[str], array: Array) -> None:
        """Makes each name a row of the array."""
        self._where.update({name: (len(self._arrays), row) for row, name in enumerate(names)})
        self._arrays.append(array)

    def stacked(self, names: Sequence[str]) -> Array:
        """The values of some names as rows of one array, one for each, in their order."""
        places = [self._where.get(name) for name in names]
        if None not in places and len({place[0] for place in places if place}) == 1:
            return cut(self._arrays[places[0][0]], np.array([place[1] for place in places if place]))  # type: ignore
        different = list(dict.fromkeys(names))
        array = jnp.stack([jnp.asarray(self[name]) for name in different])
        if len(different) == len(names):
            return array
        number = {name: row for row, name in enumerate(different)}
        return cut(array, np.array([number[name] for name in names]))

    def plain(self) -> dict[str, Any]:
        """A dict of every value by its name."""
        return {**self, **{name: self[name] for name in self._where}}


def cut(array: Array, rows: np.ndarray) -> Array:
    """Some rows of an array, by a slice where they are evenly spaced."""
    steps = np.diff(rows)
    if len(rows) == 1 or (steps[0] > 0 and (steps == steps[0]).all()):
        step = int(steps[0]) if len(rows) > 1 else 1
        whole = rows[0] == 0 and step == 1 and len(rows) == len(array)
        return array if whole else jax.lax.slice_in_dim(array, int(rows[0]), int(rows[-1]) + 1, step)
    return jnp.take(array, rows, axis=0)


def stacked_rows(values: Mapping[str, Any]) -> Rows:
    """A copy of named values as `Rows`."""
    return values if isinstance(values, Rows) else Rows(values)
