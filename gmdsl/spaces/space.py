"""Spaces: where a variable lives. A shape, a support, a kind of number.

Supports are NumPyro constraints and move to the unconstrained line by NumPyro's bijections; the
Jacobian is added once, by the compiler. The other spaces are in the files beside this one.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np

from gmdsl.core.errors import SpecError

type Shape = tuple[int, ...]


class Space(eqx.Module):
    """A set of values: `shape`, whether it is `discrete`, and its NumPyro `constraint`.

    Attributes:
        gap: the difference of two values next to each other in it.
        circular: whether its two ends are one point.
    """

    shape: eqx.AbstractVar[Shape]
    discrete: ClassVar[bool] = False
    gap: ClassVar[int] = 1
    circular: ClassVar[bool] = False

    @property
    def constraint(self) -> Any:
        """The NumPyro constraint of this space."""
        return getattr(constraints(), self._constraint)

    _constraint: ClassVar[str]  # its name in NumPyro

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
    def first(self) -> int:
        """The lowest value of an element of a finite discrete space."""
        return 0

    @property
    def event_rank(self) -> int:
        """Rank of one event: 0 for elementwise supports, 1 for vectors, 2 for matrices."""
        return 0

    @property
    def settings(self) -> tuple[Any, ...]:
        """What is declared before the sizes, such as bounds."""
        return ()

    @property
    def title(self) -> str:
        """How messages and pictures name it."""
        sizes = self.shape[:1] if self.event_rank else self.shape
        return f"{type(self).__name__}({', '.join(map(str, [*self.settings, *sizes]))})"

    def contains(self, value: np.ndarray) -> bool:
        """Whether every element of a concrete value lies in it (True when bounds move)."""
        return self.dynamic or bool(np.all(self.constraint.check(value)))


class Real(Space):
    """All real numbers, `Real(2)` for a vector of two."""

    shape: Shape = eqx.field(static=True)
    _constraint: ClassVar[str] = "real"

    def __init__(self, *shape: int):
        self.shape = sizes_of("Real", shape)

    def contains(self, value: np.ndarray) -> bool:
        return bool(np.isfinite(value).all())


def dtype_of(space: Space) -> np.dtype:
    """The dtype of a value of this space under the current precision of JAX."""
    return np.dtype(jax.dtypes.canonicalize_dtype(int if space.discrete else float))


def constraints() -> Any:
    """NumPyro's module of constraints, imported when it is asked for."""
    from numpyro.distributions import constraints

    return constraints


def sizes_of(name: str, shape: tuple[Any, ...]) -> Shape:
    """The sizes that were given to a space of that name, checked.

    Raises:
        SpecError: a size that is no whole number of at least 1.
    """
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = tuple(shape[0])
    for size in shape:
        if not isinstance(size, int | np.integer) or size < 1:
            raise SpecError(f"{name}{shape}: a size is a whole number of at least 1, not {size!r}. Pass integers.")
    return tuple(int(size) for size in shape)


def abstract(space: Space) -> jax.ShapeDtypeStruct:
    """Shape and dtype of a value of a space."""
    return jax.ShapeDtypeStruct(space.shape, dtype_of(space))


def fixed_space(operation: str, name: str, space: Space) -> Space:
    """A space that can be declared once for all values of the other variables.

    Raises:
        SpecError: its bounds move.
    """
    if space.dynamic:
        raise SpecError(f"{operation}: the bounds of {name} depend on other variables. Give it a fixed support.")
    return space
