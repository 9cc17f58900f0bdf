"""Which of two spaces is the smaller one."""

import numpy as np

from gmdsl.spaces.discrete import Binary, Categorical, Integer, Spin
from gmdsl.spaces.elementwise import Interval, Positive
from gmdsl.spaces.space import Real, Space
from gmdsl.spaces.unnamed import IntegerSupport, Support
from gmdsl.spaces.vectors import Simplex

_UNBOUNDED = (Support, IntegerSupport, Spin)


def smaller(first: Space, second: Space) -> Space | None:
    """The smaller of two spaces when one lies in the other, else None.

    >>> smaller(Real(2), Positive(2))
    Positive(shape=(2,))
    >>> smaller(Positive(), Interval(-1.0, 1.0)) is None
    True
    """
    if first == second:
        return first
    if first.shape != second.shape or first.discrete != second.discrete:
        return None
    for inner, outer in ((first, second), (second, first)):
        if _inside(inner, outer):
            return inner
    return None


def _inside(inner: Space, outer: Space) -> bool:
    if isinstance(outer, Real) or (isinstance(outer, Integer) and inner.discrete):
        return True
    if isinstance(inner, _UNBOUNDED) or isinstance(outer, (*_UNBOUNDED, Simplex)):  # a simplex is no box
        return False
    low, high = _bounds(inner)
    outer_low, outer_high = _bounds(outer)
    if np.isnan(low) or np.isnan(outer_low):
        return False
    return outer_low <= low and high <= outer_high


def _bounds(space: Space) -> tuple[float, float]:
    if isinstance(space, Positive):
        return 0.0, np.inf
    if isinstance(space, Interval):
        return space.low, space.high
    if isinstance(space, Simplex):
        return 0.0, 1.0
    if isinstance(space, Binary | Categorical):
        return 0.0, float((space.cardinality or 1) - 1)
    return np.nan, np.nan
