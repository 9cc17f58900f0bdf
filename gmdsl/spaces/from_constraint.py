"""From the support of a NumPyro distribution to a `Space`, and the order of spaces by inclusion."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from gmdsl.core.pytrees.function import Constant
from gmdsl.spaces.elementwise import (
    Binary,
    Categorical,
    Circle,
    CorrCholesky,
    Integer,
    IntegerSupport,
    Interval,
    Ordered,
    Positive,
    PositiveDefinite,
    Simplex,
    Spin,
    Support,
)
from gmdsl.spaces.space import Real, Space


def space_of(constraint: Any, shape: tuple[int, ...]) -> Space:
    """The space of values of `shape` that satisfy a NumPyro constraint.

    Bounds that are tracers give a `Support` whose bounds move.
    """
    from numpyro.distributions import biject_to, constraints

    base, rank = constraint, constraint.event_dim
    while isinstance(base, constraints.independent):
        base = base.base_constraint
    named = {
        id(constraints.real): Real,
        id(constraints.real_vector): Real,
        id(constraints.real_matrix): Real,
        id(constraints.positive): Positive,
        id(constraints.boolean): Binary,
        id(constraints.circular): Circle,
    }.get(id(base))
    if named is not None:
        return named(*shape)
    if len(shape) == 1 and base is constraints.simplex:
        return Simplex(shape[0])
    if len(shape) == 1 and base is constraints.ordered_vector:
        return Ordered(shape[0])
    if len(shape) == 2 and base is constraints.corr_cholesky:
        return CorrCholesky(shape[0])
    if len(shape) == 2 and base is constraints.positive_definite:
        return PositiveDefinite(shape[0])
    leaves = jax.tree.leaves(base)
    moving = any(isinstance(leaf, Tracer) for leaf in leaves)
    if not moving and all(np.ndim(leaf) == 0 for leaf in leaves):
        if type(base) in (type(constraints.unit_interval), constraints.interval):
            return Interval(float(base.lower_bound), float(base.upper_bound), *shape)
        if isinstance(base, constraints.integer_interval) and int(base.lower_bound) == 0:
            return Categorical(int(base.upper_bound) + 1, *shape)
    kind = type(base).__name__.lstrip("_").lower()
    fixed = None if moving else Constant(constraint)
    if base.is_discrete:
        return IntegerSupport(kind=kind, shape=shape, fixed=fixed)
    free = tuple(biject_to(constraint).inverse_shape(shape))
    return Support(kind=kind, shape=shape, free=free, fixed=fixed, rank=rank)


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
    if isinstance(inner, _UNBOUNDED) or isinstance(outer, _UNBOUNDED):
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


_UNBOUNDED = (Support, IntegerSupport, Spin)
