"""Spaces: where a variable lives. A shape, a support, a kind of number.

Supports are NumPyro constraints and move to the unconstrained line by NumPyro's bijections; the
Jacobian is added once, by the compiler. A support whose bounds depend on other variables keeps its
kind here and gets its bounds when the model is evaluated.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np

from gmdsl.core.errors import SpecError

type Shape = tuple[int, ...]


class Space(eqx.Module):
    """A set of values: `shape`, whether it is `discrete`, and its NumPyro `constraint`."""

    shape: eqx.AbstractVar[Shape]
    discrete: ClassVar[bool] = False

    @property
    def constraint(self) -> Any:
        """The NumPyro constraint of this space."""
        return getattr(_constraints(), _CONSTRAINT[type(self).__name__])

    @property
    def dynamic(self) -> bool:
        """Whether the bounds depend on other variables."""
        return False

    @property
    def free_shape(self) -> Shape:
        """Shape of the unconstrained value."""
        return self.shape

    @property
    def cardinality(self) -> int | None:
        """Number of values of one element of a discrete space; None when infinite."""
        return None

    @property
    def event_rank(self) -> int:
        """Rank of one event: 0 for elementwise supports, 1 for vectors, 2 for matrices."""
        return 0


class Real(Space):
    """All real numbers, `Real(2)` for a vector of two."""

    shape: Shape = eqx.field(static=True)

    def __init__(self, *shape: int):
        self.shape = _shape("Real", shape)


class Positive(Space):
    """Numbers above zero."""

    shape: Shape = eqx.field(static=True)

    def __init__(self, *shape: int):
        self.shape = _shape("Positive", shape)


class Interval(Space):
    """Numbers between `low` and `high`."""

    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)

    def __init__(self, low: float, high: float, *shape: int):
        if not low < high:
            raise SpecError(f"Interval({low}, {high}): the lower end is not below the upper end. Swap them.")
        self.low, self.high, self.shape = float(low), float(high), _shape("Interval", shape)

    @property
    def constraint(self) -> Any:
        return _constraints().interval(self.low, self.high)


class Ordered(Space):
    """Vectors of length n whose entries increase."""

    shape: Shape = eqx.field(static=True)

    def __init__(self, n: int):
        self.shape = _shape("Ordered", (n,))

    @property
    def event_rank(self) -> int:
        return 1


class Simplex(Space):
    """Vectors of length n of non-negative numbers that add to one."""

    shape: Shape = eqx.field(static=True)

    def __init__(self, n: int):
        self.shape = _shape("Simplex", (n,))

    @property
    def free_shape(self) -> Shape:
        return (self.shape[0] - 1,)

    @property
    def event_rank(self) -> int:
        return 1


class CorrCholesky(Space):
    """Cholesky factors, n by n, of correlation matrices."""

    shape: Shape = eqx.field(static=True)

    def __init__(self, n: int):
        self.shape = _shape("CorrCholesky", (n, n))

    @property
    def free_shape(self) -> Shape:
        return (self.shape[0] * (self.shape[0] - 1) // 2,)

    @property
    def event_rank(self) -> int:
        return 2


class PositiveDefinite(Space):
    """Symmetric positive definite matrices, n by n."""

    shape: Shape = eqx.field(static=True)

    def __init__(self, n: int):
        self.shape = _shape("PositiveDefinite", (n, n))

    @property
    def free_shape(self) -> Shape:
        return (self.shape[0] * (self.shape[0] + 1) // 2,)

    @property
    def event_rank(self) -> int:
        return 2


class Circle(Space):
    """Angles in radians, from -pi to pi."""

    shape: Shape = eqx.field(static=True)

    def __init__(self, *shape: int):
        self.shape = _shape("Circle", shape)


class Spin(Space):
    """The two values -1 and +1."""

    shape: Shape = eqx.field(static=True)
    discrete: ClassVar[bool] = True

    def __init__(self, *shape: int):
        self.shape = _shape("Spin", shape)

    @property
    def constraint(self) -> Any:
        raise SpecError("Spin: the values -1 and +1 have no NumPyro constraint; they are checked by value.")

    @property
    def cardinality(self) -> int | None:
        return 2


class Binary(Space):
    """The two values 0 and 1."""

    shape: Shape = eqx.field(static=True)
    discrete: ClassVar[bool] = True

    def __init__(self, *shape: int):
        self.shape = _shape("Binary", shape)

    @property
    def cardinality(self) -> int | None:
        return 2


class Categorical(Space):
    """The labels 0, 1, ... k - 1."""

    k: int = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)
    discrete: ClassVar[bool] = True

    def __init__(self, k: int, *shape: int):
        self.k, self.shape = int(k), _shape("Categorical", shape)

    @property
    def constraint(self) -> Any:
        return _constraints().integer_interval(0, self.k - 1)

    @property
    def cardinality(self) -> int | None:
        return self.k


class Integer(Space):
    """All integers."""

    shape: Shape = eqx.field(static=True)
    discrete: ClassVar[bool] = True

    def __init__(self, *shape: int):
        self.shape = _shape("Integer", shape)

    @property
    def constraint(self) -> Any:
        raise SpecError("Integer: all integers have no NumPyro constraint; they are checked by value.")


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


def dtype_of(space: Space) -> np.dtype:
    """The dtype of a value of this space under the current precision of JAX."""
    return np.dtype(jax.dtypes.canonicalize_dtype(int if space.discrete else float))


def describe(space: Space) -> str:
    """How messages and pictures name a space.

    >>> describe(Positive(3)), describe(Interval(0, 1))
    ('Positive(3)', 'Interval(0.0, 1.0)')
    """
    if isinstance(space, Support | IntegerSupport):
        return f"{space.kind}{list(space.shape) if space.shape else ''}"
    before = [space.low, space.high] if isinstance(space, Interval) else []
    before += [space.k] if isinstance(space, Categorical) else []
    sizes = space.shape[:1] if space.event_rank else space.shape
    return f"{type(space).__name__}({', '.join(map(str, [*before, *sizes]))})"


def contains(space: Space, value: np.ndarray) -> bool:
    """Whether every element of a concrete value lies in the space (True when bounds move)."""
    if isinstance(space, Spin):
        return bool(np.all(np.abs(value) == 1))
    if isinstance(space, Integer) or space.dynamic:
        return True
    if isinstance(space, Real):
        return bool(np.isfinite(value).all())
    return bool(np.all(space.constraint.check(value)))


_CONSTRAINT = {
    "Real": "real",
    "Positive": "positive",
    "Ordered": "ordered_vector",
    "Simplex": "simplex",
    "CorrCholesky": "corr_cholesky",
    "PositiveDefinite": "positive_definite",
    "Circle": "circular",
    "Binary": "boolean",
}


def _constraints() -> Any:
    from numpyro.distributions import constraints

    return constraints


def _shape(name: str, shape: tuple[Any, ...]) -> Shape:
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = tuple(shape[0])
    for size in shape:
        if not isinstance(size, int | np.integer) or size < 1:
            raise SpecError(f"{name}{shape}: a size is a whole number of at least 1, not {size!r}. Pass integers.")
    return tuple(int(size) for size in shape)


def _fixed(kind: str, fixed: Any) -> Any:
    if fixed is None:
        raise SpecError(f"{kind}: its bounds depend on other variables and are known only when evaluated.")
    return fixed.value
