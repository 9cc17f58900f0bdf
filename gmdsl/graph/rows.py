"""Named values of which many are rows of one array.

A model of a thousand scalars is evaluated as a few arrays. A name is cut out of its array when somebody reads it alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


class NamedRows(Mapping[str, Any]):
    """Values by name; `have.add(names, array)` makes every name a row of the array.

    Args:
        mappings: values to start from, the later ones before the earlier ones; rows stay rows.

    >>> have = NamedRows({"b": jnp.array(7.0)})
    >>> have.add(("x0", "x1", "x2"), jnp.array([1.0, 2.0, 3.0]))
    >>> float(have["x1"]), have.stacked(("x2", "x0")).tolist(), have.stacked(("b", "x0")).tolist()
    (2.0, [3.0, 1.0], [7.0, 1.0])
    """

    def __init__(self, *mappings: Mapping[str, Any]):
        self._single: dict[str, Any] = {}
        self._arrays: list[Array] = []
        self._where: dict[str, tuple[int, int]] = {}
        for values in mappings:
            self.update(values)

    def __getitem__(self, name: str) -> Any:
        if name not in self._single:
            number, row = self._where[name]
            self._single[name] = self._arrays[number][row]
        return self._single[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._where.pop(name, None)
        self._single[name] = value

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._single, *self._where)))

    def __len__(self) -> int:
        return len(set(self))

    def __contains__(self, name: object) -> bool:
        return name in self._single or name in self._where

    def add(self, names: Sequence[str], array: Array) -> None:
        """Makes each name a row of the array."""
        for name in names:
            self._single.pop(name, None)
        self._where.update({name: (len(self._arrays), row) for row, name in enumerate(names)})
        self._arrays.append(array)

    def update(self, values: Mapping[str, Any]) -> None:
        """Takes up other values."""
        if not isinstance(values, NamedRows):
            for name in self._where.keys() & values.keys():
                del self._where[name]
            self._single.update(values)
            return
        self.update(values._single)
        first = len(self._arrays)
        for name, (number, row) in values._where.items():
            self._single.pop(name, None)
            self._where[name] = (first + number, row)
        self._arrays += values._arrays

    def stacked(self, names: Sequence[str]) -> Array:
        """The values of some names as rows of one array, one for each, in their order."""
        places = [self._where[name] for name in names if name in self._where]
        if len(places) == len(names) and len({number for number, _ in places}) == 1:
            return cut(self._arrays[places[0][0]], np.array([row for _, row in places]))
        different = list(dict.fromkeys(names))
        array = jnp.stack([jnp.asarray(self[name]) for name in different])
        if len(different) == len(names):
            return array
        number = {name: row for row, name in enumerate(different)}
        return cut(array, np.array([number[name] for name in names]))


def cut(array: Array, rows: np.ndarray) -> Array:
    """Some rows of an array, by a slice where they are evenly spaced.

    >>> cut(jnp.arange(6), np.array([1, 3, 5])).tolist(), cut(jnp.arange(6), np.array([4, 0])).tolist()
    ([1, 3, 5], [4, 0])
    """
    steps = np.diff(rows)
    if len(rows) > 1 and (steps[0] <= 0 or (steps != steps[0]).any()):
        return jnp.take(array, rows, axis=0)
    step = int(steps[0]) if len(rows) > 1 else 1
    if step == 1 and len(rows) == len(array):
        return array
    return jax.lax.slice_in_dim(array, int(rows[0]), int(rows[-1]) + 1, step)
