"""Which parameters of a node may leave their domain: what is not proved from the spaces of its parents."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.extend.core import Literal

from gmdsl.core.jaxprs.dataflow import called
from gmdsl.core.jaxprs.intervals import ANYTHING, Bounds, bounds_in, of_array
from gmdsl.distributions.domain import parameters
from gmdsl.graph.factor_graph import Abstract
from gmdsl.spaces.discrete import Integer, Spin
from gmdsl.spaces.from_constraint import base_of
from gmdsl.spaces.space import Space

KEPT = {  # a row of such a matrix or vector is found again behind these operations
    *("reshape", "squeeze", "expand_dims", "broadcast_in_dim", "convert_element_type", "gather", "slice", "copy"),
    *("dynamic_slice", "stop_gradient", "copy_p"),
}


def unproved(call: Any, known: Abstract, spaces: Mapping[str, Space], data: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters of a distribution that the model may hand a value outside of their constraint.

    Args:
        call: makes the distribution from named values.
        known: shapes of what it reads, and numbers.
        spaces: of the variables, parameters and inputs.
        data: arrays; numbers in there are checked where they are given.
    """
    shapes = {v: known[v] for v in call.variables if not isinstance(known[v], int | float)}
    numbers = {v: known[v] for v in call.variables if v not in shapes}
    asked: list[tuple[str, Any]] = []

    def run(values: list[Any]) -> list[Any]:
        named = dict(zip(shapes, values, strict=True))
        given = {id(value): name for name, value in named.items()}
        moving = []
        for name, constraint, value in parameters(call({**numbers, **named})):
            origin = spaces.get(given.get(id(value), ""))
            if isinstance(value, Tracer) and _is_limited(constraint) and not _is_its_space(origin, constraint):
                asked.append((name, constraint))
                moving.append(value)
        return moving

    closed = jax.make_jaxpr(run)(list(shapes.values()))
    if not asked:
        return ()
    leaves = [name for name, shape in shapes.items() for _ in jax.tree.leaves(shape)]
    found = bounds_in(closed, [_bounds(name, spaces, data) for name in leaves])
    inputs = {v: spaces.get(name) for v, name in zip(closed.jaxpr.invars, leaves, strict=True)}
    outputs = [_read(_rows_of(closed.jaxpr, inputs), atom) for atom in closed.jaxpr.outvars]
    kept = zip(asked, found, outputs, strict=True)
    return tuple(
        dict.fromkeys(
            name
            for (name, constraint), where, space in kept
            if not _is_inside(where, constraint) and not _is_its_space(space, constraint)
        )
    )


def _bounds(name: str, spaces: Mapping[str, Space], data: Mapping[str, Any]) -> Bounds:
    if name in data:
        return of_array(data[name])
    space = spaces.get(name)
    if space is None or space.dynamic:
        return ANYTHING
    return of_space(space)


def of_space(space: Space) -> Bounds:
    """The bounds of the elements of a space."""
    if isinstance(space, Spin | Integer):  # which have no constraint of NumPyro's
        return Bounds(-1.0, 1.0) if isinstance(space, Spin) else ANYTHING
    base = base_of(space.constraint)
    low, high = _ends(base)
    kind = type(base).__name__
    if kind in ("_Simplex", "_Boolean"):
        low, high = 0.0, 1.0
    return Bounds(low, high, not space.discrete)


def _ends(constraint: Any) -> tuple[float, float]:
    low, high = (getattr(constraint, name, None) for name in ("lower_bound", "upper_bound"))
    numbers = [(-math.inf if low is None else low), (math.inf if high is None else high)]
    if any(isinstance(number, Tracer) for number in numbers):
        return -math.inf, math.inf
    return float(np.min(numbers[0])), float(np.max(numbers[1]))


def _is_limited(constraint: Any) -> bool:
    """Whether there is something outside of a constraint."""
    kind = type(base_of(constraint)).__name__
    return not kind.startswith(("_Real", "_Boolean", "_Dependent"))


def _is_inside(where: Bounds, constraint: Any) -> bool:
    """Whether bounds prove a constraint of single elements."""
    base = base_of(constraint)
    if constraint.event_dim and base is constraint:
        return False  # of a vector or matrix as a whole
    low, high = _ends(base)
    strict = "Eq" not in type(base).__name__ and type(base).__name__ in ("_Positive", "_GreaterThan", "_OpenInterval")
    above = low == -math.inf or where.above(low, strictly=strict)
    return above and (high == math.inf or where.below(high, strictly=strict))


def _is_its_space(space: Space | None, constraint: Any) -> bool:
    """Whether a variable of a space satisfies a constraint as it is."""
    if space is None or space.dynamic:
        return False
    if isinstance(space, Spin | Integer):
        return not base_of(constraint).event_dim and _is_inside(of_space(space), constraint)
    base, wanted = base_of(space.constraint), base_of(constraint)
    if type(base) is type(wanted) and base.event_dim:
        return True
    related = {"_CorrCholesky": "_LowerCholesky", "_CorrMatrix": "_PositiveDefinite"}
    if related.get(type(base).__name__) == type(wanted).__name__:
        return True
    return not wanted.event_dim and _is_inside(of_space(space), constraint)


def _rows_of(jaxpr: Any, inputs: Mapping[Any, Space | None]) -> dict[Any, Space | None]:
    """The space whose rows are in each value that is one variable, looked up or put into shape."""
    found = dict(inputs)
    for equation in jaxpr.eqns:
        closed = called(equation)
        inner = getattr(closed, "jaxpr", closed)
        spaces = [_read(found, atom) for atom in equation.invars]
        if inner is not None and len(inner.invars) == len(spaces):
            within = _rows_of(inner, dict(zip(inner.invars, spaces, strict=True)))
            results = [_read(within, atom) for atom in inner.outvars]
        else:
            results = [spaces[0] if spaces and equation.primitive.name in KEPT else None] * len(equation.outvars)
        found.update(zip(equation.outvars, results, strict=True))
    return found


def _read(found: Mapping[Any, Space | None], atom: Any) -> Space | None:
    return None if isinstance(atom, Literal) else found.get(atom)
