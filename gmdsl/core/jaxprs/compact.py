r"""Operations on arrays that are constant along some axes, held with one element there.

A label that is the same for all data makes rows that are all the same, such as N rows of a table of V words. Held
once, they cost V and not N V, and so does everything that is computed of them before it meets the data.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.core.jaxprs.primitives import ELEMENTWISE
from gmdsl.core.jaxprs.tape import bound


def compactly_bound(equation: Any, values: list[Any], elementwise: Callable[..., Any] | None = None) -> list[Any]:
    """The results of an equation at operands with one element along axes where they are constant; they are such, too.

    Args:
        equation: an equation of one operation.
        values: its operands, of the rank that the equation has.
        elementwise: what is done in place of an elementwise operation, on arrays of one shape.

    >>> row = jax.make_jaxpr(lambda x: jnp.broadcast_to(x, (1000, 3)))(jnp.ones(3)).eqns[0]
    >>> compactly_bound(row, [jnp.ones(3)])[0].shape
    (1, 3)
    """
    name = equation.primitive.name
    if name in ELEMENTWISE:
        return _elementwise(equation, values, elementwise)
    shapes = [variable.aval.shape for variable in equation.invars]
    if name == "broadcast_in_dim":
        return [_broadcast(equation, values[0])]
    if any(np.shape(value) != shape for value, shape in zip(values, shapes, strict=True)):
        rule = _RULES.get(name)
        found = None if rule is None else rule(equation, values)
        if found is not None:
            return [found]
    if name == "gather":
        return [_gather(equation, values)]
    return bound(equation, [expanded(value, shape) for value, shape in zip(values, shapes, strict=True)])


def expanded(value: Any, shape: tuple[int, ...]) -> Any:
    """The array with all its elements."""
    return value if np.shape(value) == shape else jnp.broadcast_to(value, shape)


def _elementwise(equation: Any, values: list[Any], other: Callable[..., Any] | None) -> list[Any]:
    shape = np.broadcast_shapes(*(np.shape(value) for value in values))
    full = [variable.aval.ndim for variable in equation.invars]
    same = [expanded(value, shape) if rank else value for value, rank in zip(values, full, strict=True)]
    return bound(equation, same) if other is None else [other(*same)]


def _broadcast(equation: Any, value: Any) -> Array:
    """New axes have one element."""
    shape = [1] * len(equation.params["shape"])
    for axis, size in zip(equation.params["broadcast_dimensions"], np.shape(value), strict=True):
        shape[axis] = size
    return jax.lax.broadcast_in_dim(value, shape, equation.params["broadcast_dimensions"])


def _reduce(equation: Any, values: list[Any]) -> Array | None:
    """What is summed along an axis where it is constant counts as often as there are elements."""
    (value,), axes, name = values, equation.params["axes"], equation.primitive.name
    before = equation.invars[0].aval.shape
    often = math.prod(before[axis] // value.shape[axis] for axis in axes)
    found = bound(equation, [value])[0]
    return found * jnp.asarray(often, found.dtype) if name == "reduce_sum" else found


def _move(equation: Any, values: list[Any]) -> Array:
    """The axes move as they are."""
    return bound(equation, values)[0]


def _slice(equation: Any, values: list[Any]) -> Array | None:
    """A part of the axes that have all their elements."""
    (value,), params, before = values, equation.params, equation.invars[0].aval.shape
    strides = params["strides"] or (1,) * len(before)
    starts, limits = list(params["start_indices"]), list(params["limit_indices"])
    for axis, (own, size) in enumerate(zip(value.shape, before, strict=True)):
        if own != size:
            starts[axis], limits[axis] = 0, 1
            strides = (*strides[:axis], 1, *strides[axis + 1 :])
    return jax.lax.slice(value, starts, limits, strides)


def _reshape(equation: Any, values: list[Any]) -> Array | None:
    """Axes of one element come and go."""
    before, after = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    if [size for size in before if size != 1] != [size for size in after if size != 1]:
        return None
    own = iter([own for own, size in zip(values[0].shape, before, strict=True) if size != 1])
    return jnp.reshape(values[0], [1 if size == 1 else next(own) for size in after])


def _gather(equation: Any, values: list[Any]) -> Array:
    """A lookup by indices that are constant along some axes, or in rows that are all the same."""
    operand, indices = values
    numbers, params = equation.params["dimension_numbers"], equation.params
    whole, places = equation.invars[0].aval.shape, list(equation.invars[1].aval.shape)
    pairs = list(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True))
    alike = [pair for pair in pairs if operand.shape[pair[0]] != whole[pair[0]]]
    apart = [pair for pair in pairs if pair not in alike]
    shape = [size if axis in {a for a, _ in alike} else full for axis, (size, full) in
             enumerate(zip(operand.shape, whole, strict=True))]  # fmt: skip
    keep = [axis for _, axis in apart] + [len(places) - 1]
    index_shape = [full if axis in keep else own for axis, (own, full) in
                   enumerate(zip(indices.shape, places, strict=True))]  # fmt: skip
    changed = jax.lax.GatherDimensionNumbers(
        offset_dims=numbers.offset_dims,
        collapsed_slice_dims=tuple(sorted((*numbers.collapsed_slice_dims, *(axis for axis, _ in alike)))),
        start_index_map=numbers.start_index_map,
        operand_batching_dims=tuple(axis for axis, _ in apart),
        start_indices_batching_dims=tuple(axis for _, axis in apart),
    )
    return jax.lax.gather(
        expanded(operand, tuple(shape)),
        expanded(indices, tuple(index_shape)),
        changed,
        params["slice_sizes"],
        mode=params["mode"],
        fill_value=params["fill_value"],
        indices_are_sorted=False,
        unique_indices=False,
    )


_RULES = {
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or"), _reduce),
    **dict.fromkeys(("transpose", "squeeze", "copy"), _move),
    "slice": _slice,
    "reshape": _reshape,
}
