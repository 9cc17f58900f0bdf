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
        for end, value in (("lower", low), ("upper", high)):
            if np.ndim(value):
                raise SpecError(
                    f"Interval({end} end of shape {np.shape(value)}): both ends are one number each. Where they differ"
                    " between elements, declare dist.Uniform(low, high) in gm.joint, or one variable each."
                )
        if not low < high:
            raise SpecError(f"Interval({low}, {high}): the lower end is not below the upper end. Swap them.")
        self.low, self.high, self.shape = float(low), float(high), sizes_of("Interval", shape)

    @property
    def constraint(self) -> Any:
        return constraints().interval(self.low, self.high)

    @property
    def settings(self) -> tuple[Any, ...]:
        return (self.low, self.high)


class Circle(Space):
    """Angles in radians, from -pi to pi."""

    shape: Shape = eqx.field(static=True)
    circular: ClassVar[bool] = True
    _constraint: ClassVar[str] = "circular"

    def __init__(self, *shape: int):
        self.shape = sizes_of("Circle", shape)
