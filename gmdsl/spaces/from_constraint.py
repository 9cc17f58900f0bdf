"""From the support of a NumPyro distribution to a `Space`, and the order of spaces by inclusion."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gmdsl.core.pytrees.function import Constant
from gmdsl.spaces.discrete import Binary, Categorical, Integer, Spin
from gmdsl.spaces.elementwise import Circle, Interval, Positive
from gmdsl.spaces.matrices import CorrCholesky, PositiveDefinite
from gmdsl.spaces.space import Real, Shape, Space
from gmdsl.spaces.unnamed import IntegerSupport, Support
from gmdsl.spaces.vectors import Ordered, Simplex


def space_of(constraint: Any, shape: tuple[int, ...], *, moving: bool = False) -> Space:
    """The space of values of `shape` that satisfy a NumPyro constraint.

    Bounds that are tracers, or said to be `moving`, give a `Support` whose bounds move.
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
    states = None
    moving = moving or any(isinstance(leaf, Tracer) for leaf in leaves)
    if not moving and all(np.ndim(leaf) == 0 for leaf in leaves):
        if type(base) in (type(constraints.unit_interval), constraints.interval):
            return Interval(float(base.lower_bound), float(base.upper_bound), *shape)
        if isinstance(base, constraints.integer_interval):
            low, high = int(base.lower_bound), int(base.upper_bound)
            if low == 0:
                return Categorical(high + 1, *shape)
            states = low, max(high - low + 1, 1)
    kind = type(base).__name__.lstrip("_").lower()
    fixed = None if moving else Constant(constraint)
    if base.is_discrete:
        return IntegerSupport(kind=kind, shape=shape, fixed=fixed, states=states)
    free = tuple(biject_to(constraint).inverse_shape(shape))
    return Support(kind=kind, shape=shape, free=free, fixed=fixed, rank=rank)


def with_shape(space: Space, shape: Shape) -> Space:
    """The space of values of another shape.

    >>> from gmdsl.spaces.discrete import Spin
    >>> with_shape(Spin(), (3,)), with_shape(Real(2), (4, 2))
    (Spin(shape=(3,)), Real(shape=(4, 2)))
    """
    if space.shape == shape:
        return space
    return type(space)(*shape) if isinstance(space, Spin | Integer) else space_of(space.constraint, shape)


def base_of(constraint: Any) -> Any:
    """The constraint of single elements, or of the smallest event, inside of one that joins several axes to an event.

    >>> from numpyro.distributions import constraints
    >>> base_of(constraints.independent(constraints.positive, 2)) is constraints.positive
    True
    """
    while hasattr(constraint, "base_constraint"):
        constraint = constraint.base_constraint
    return constraint


def ends_of(constraint: Any) -> dict[str, Any]:
    """The ends of a constraint that has any, by the names `lower_bound` and `upper_bound`.

    >>> from numpyro.distributions import constraints
    >>> ends_of(constraints.greater_than(2.0)), ends_of(constraints.real)
    ({'lower_bound': 2.0}, {})
    """
    base = base_of(constraint)
    ends = {side: getattr(base, side, None) for side in ("lower_bound", "upper_bound")}
    return {side: end for side, end in ends.items() if end is not None}


def in_closure(constraint: Any, value: Any, counted: Any = None) -> Any:
    """Whether events lie in a support or at its ends, one answer for each.

    Args:
        constraint: the support.
        value: with the axes of an event last.
        counted: which elements are looked at, in the shape of the value; all when None.

    >>> from numpyro.distributions import constraints
    >>> in_closure(constraints.positive, np.array([-1.0, 0.0, 2.0])).tolist()
    [False, True, True]
    """
    base, value = base_of(constraint), jnp.asarray(value)
    inside = jnp.asarray(base.check(value))
    for end in ends_of(constraint).values():
        inside = inside | (value == jnp.asarray(end, jnp.result_type(float)))
    if counted is not None and base.event_dim == 0:
        inside = inside | ~counted
    rank = constraint.event_dim - base.event_dim
    return jnp.all(inside, axis=tuple(range(-rank, 0))) if rank else inside


def is_half_open(space: Space) -> bool:
    """Whether a support has an end that it leaves out."""
    if space.discrete:
        return False
    if space.dynamic:
        return getattr(space, "kind", "") in ("greaterthan", "lessthan", "openinterval")
    with jax.ensure_compile_time_eval():
        return any(not np.all(base_of(space.constraint).check(end)) for end in ends_of(space.constraint).values())
