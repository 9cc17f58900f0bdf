"""Discrete spaces: spins, bits, categories, whole numbers."""

from typing import Any, ClassVar

import equinox as eqx
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.spaces.space import Shape, Space, constraints, sizes_of


class Spin(Space):
    """The two values -1 and +1."""

    shape: Shape = eqx.field(static=True)
    discrete: ClassVar[bool] = True
    gap: ClassVar[int] = 2

    def __init__(self, *shape: int):
        self.shape = sizes_of("Spin", shape)

    @property
    def constraint(self) -> Any:
        raise SpecError("Spin: the values -1 and +1 have no NumPyro constraint; they are checked by value.")

    @property
    def cardinality(self) -> int | None:
        return 2

    @property
    def first(self) -> int:
        return -1

    def contains(self, value: np.ndarray) -> bool:
        return bool(np.all(np.abs(value) == 1))


class Binary(Space):
    """The two values 0 and 1."""

    shape: Shape = eqx.field(static=True)
    _constraint: ClassVar[str] = "boolean"
    discrete: ClassVar[bool] = True

    def __init__(self, *shape: int):
        self.shape = sizes_of("Binary", shape)

    @property
    def cardinality(self) -> int | None:
        return 2


class Categorical(Space):
    """The labels 0, 1, ... k - 1."""

    k: int = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)
    discrete: ClassVar[bool] = True

    def __init__(self, k: int, *shape: int):
        self.k, self.shape = int(k), sizes_of("Categorical", shape)

    @property
    def constraint(self) -> Any:
        return constraints().integer_interval(0, self.k - 1)

    @property
    def cardinality(self) -> int | None:
        return self.k

    @property
    def settings(self) -> tuple[Any, ...]:
        return (self.k,)


class Integer(Space):
    """All integers."""

    shape: Shape = eqx.field(static=True)
    discrete: ClassVar[bool] = True

    def __init__(self, *shape: int):
        self.shape = sizes_of("Integer", shape)

    @property
    def constraint(self) -> Any:
        raise SpecError("Integer: all integers have no NumPyro constraint; they are checked by value.")

    def contains(self, value: np.ndarray) -> bool:
        return True
