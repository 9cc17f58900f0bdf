"""The spaces besides the real numbers.

A support whose bounds depend on other variables keeps its kind here and gets its bounds when the model is evaluated.
"""

from typing import Any, ClassVar

import equinox as eqx
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.spaces.space import Shape, Space, constraints, sizes_of


class Positive(Space):
    """Numbers above zero."""

    shape: Shape = eqx.field(static=True)
    _constraint: ClassVar[str] = "positive"

    def __init__(self, *shape: int):
        self.shape = sizes_of("Positive", shape)


class Interval(Space):
    """Numbers between `low` and `high`."""

    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)

    def __init__(self, low: float, high: float, *shape: int):
        if not low < high:
            raise SpecError(f"Interval({low}, {high}): the lower end is not below the upper end. Swap them.")
        self.low, self.high, self.shape = float(low), float(high), sizes_of("Interval", shape)

    @property
    def constraint(self) -> Any:
        return constraints().interval(self.low, self.high)

    @property
    def settings(self) -> tuple[Any, ...]:
        return (self.low, self.high)


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


class CorrCholesky(Space):
    """Cholesky factors, n by n, of correlation matrices."""

    shape: Shape = eqx.field(static=True)
    _constraint: ClassVar[str] = "corr_cholesky"

    def __init__(self, n: int):
        self.shape = sizes_of("CorrCholesky", (n, n))

    @property
    def free_shape(self) -> Shape:
        return (self.shape[0] * (self.shape[0] - 1) // 2,)

    @property
    def event_rank(self) -> int:
        return 2


class PositiveDefinite(Space):
    """Symmetric positive definite matrices, n by n."""

    shape: Shape = eqx.field(static=True)
    _constraint: ClassVar[str] = "positive_definite"

    def __init__(self, n: int):
        self.shape = sizes_of("PositiveDefinite", (n, n))

    @property
    def free_shape(self) -> Shape:
        return (self.shape[0] * (self.shape[0] + 1) // 2,)

    @property
    def event_rank(self) -> int:
        return 2


class Circle(Space):
    """Angles in radians, from -pi to pi."""

    shape: Shape = eqx.field(static=True)
    _constraint: ClassVar[str] = "circular"

    def __init__(self, *shape: int):
        self.shape = sizes_of("Circle", shape)


class Spin(Space):
    """The two values -1 and +1."""

    shape: Shape = eqx.field(static=True)
    discrete: ClassVar[bool] = True
    first: ClassVar[int] = -1
    gap: ClassVar[int] = 2

    def __init__(self, *shape: int):
        self.shape = sizes_of("Spin", shape)

    @property
    def constraint(self) -> Any:
        raise SpecError("Spin: the values -1 and +1 have no NumPyro constraint; they are checked by value.")

    @property
    def cardinality(self) -> int | None:
        return 2

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


class Support(Space):
    """The support of a NumPyro distribution that has no name above, or whose bounds move.

    Attributes:
        kind: the name of the constraint, such as `interval`.
        shape: the shape of a value.
        free: the shape of the unconstrained value.
        fixed: the constraint when its bounds are known, as a `Constant`; None when they move.
        rank: the rank of one event.
    """

    kind: str = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)
    free: Shape = eqx.field(static=True)
    fixed: Any = eqx.field(static=True, default=None)
    rank: int = eqx.field(static=True, default=0)

    @property
    def constraint(self) -> Any:
        return _fixed(self.kind, self.fixed)

    @property
    def dynamic(self) -> bool:
        return self.fixed is None

    @property
    def title(self) -> str:
        return _title(self.kind, self.shape)

    @property
    def free_shape(self) -> Shape:
        return self.free

    @property
    def event_rank(self) -> int:
        return self.rank


class IntegerSupport(Space):
    """The support of a discrete NumPyro distribution that has no name above (counts, say).

    Attributes:
        kind: the name of the constraint.
        shape: the shape of a value.
        fixed: the constraint when its bounds are known, as a `Constant`; None when they move.
    """

    kind: str = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)
    fixed: Any = eqx.field(static=True, default=None)
    discrete: ClassVar[bool] = True

    @property
    def constraint(self) -> Any:
        return _fixed(self.kind, self.fixed)

    @property
    def dynamic(self) -> bool:
        return self.fixed is None

    @property
    def title(self) -> str:
        return _title(self.kind, self.shape)


def _fixed(kind: str, fixed: Any) -> Any:
    if fixed is None:
        raise SpecError(f"{kind}: its bounds depend on other variables and are known only when evaluated.")
    return fixed.value


def _title(kind: str, shape: Shape) -> str:
    return f"{kind}{list(shape) if shape else ''}"
