"""Spaces of vectors whose elements depend on each other: increasing ones, and points of a simplex."""

from typing import ClassVar

import equinox as eqx

from gmdsl.spaces.space import Shape, Space, sizes_of


class Ordered(Space):
    """Vectors of length n whose entries increase."""

    shape: Shape = eqx.field(static=True)
    _constraint: ClassVar[str] = "ordered_vector"

    def __init__(self, n: int):
        self.shape = sizes_of("Ordered", (n,))

    @property
    def event_rank(self) -> int:
        return 1


class Simplex(Space):
    """Vectors of length n of non-negative numbers that add to one."""

    shape: Shape = eqx.field(static=True)
    _constraint: ClassVar[str] = "simplex"

    def __init__(self, n: int):
        self.shape = sizes_of("Simplex", (n,))

    @property
    def free_shape(self) -> Shape:
        return (self.shape[0] - 1,)

    @property
    def event_rank(self) -> int:
        return 1
