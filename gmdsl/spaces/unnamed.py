"""Spaces without a name of their own: the supports of NumPyro's distributions."""

from typing import Any, ClassVar

import equinox as eqx

from gmdsl.core.errors import SpecError
from gmdsl.spaces.space import Shape, Space


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
        return _fix_bounds(self.kind, self.fixed)

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
        states: the lowest value and how many there are, where that is finite and the same for all elements.
    """

    kind: str = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)
    fixed: Any = eqx.field(static=True, default=None)
    states: tuple[int, int] | None = eqx.field(static=True, default=None)
    discrete: ClassVar[bool] = True

    @property
    def first(self) -> int:
        return 0 if self.states is None else self.states[0]

    @property
    def cardinality(self) -> int | None:
        return None if self.states is None else self.states[1]

    @property
    def constraint(self) -> Any:
        return _fix_bounds(self.kind, self.fixed)

    @property
    def dynamic(self) -> bool:
        return self.fixed is None

    @property
    def title(self) -> str:
        return _title(self.kind, self.shape)


def _fix_bounds(kind: str, fixed: Any) -> Any:
    if fixed is None:
        raise SpecError(f"{kind}: its bounds depend on other variables and are known only when evaluated.")
    return fixed.value


def _title(kind: str, shape: Shape) -> str:
    return f"{kind}{list(shape) if shape else ''}"
