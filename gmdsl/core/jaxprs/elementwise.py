"""Whether the elements of a result depend on one element of an input each, proved from the traced program.

The state of a value is where the axes of the input lie in it: in a value with state (2, 0), the
element at [j, :, i] depends on the element [i, j] of the input and on no other.
"""

import math
from collections.abc import Callable
from typing import Any

from gmdsl.core.jaxprs.dataflow import CONSTANT, UNKNOWN, output_states
from gmdsl.core.jaxprs.primitives import ELEMENTWISE, REDUCTIONS


def element_axes(function: Callable[..., Any], inputs: list[Any]) -> Any:
    """Where the axes of the inputs lie in each output; `CONSTANT`, or `UNKNOWN` when elements mix.

    Args:
        function: a function of the inputs.
        inputs: arrays or shapes, all of one shape; their elements of one index belong together.

    >>> import jax.numpy as jnp
    >>> k = jnp.zeros(3, int)
    >>> element_axes(lambda k: (jnp.ones(5)[k], jnp.ones((2, 3)) * k, k[::-1], k.sum()), [k])
    ((0,), (1,), 'unknown', 'unknown')
    """
    states = [tuple(range(array.ndim)) for array in inputs]
    return output_states(function, inputs, list(states), _rule)


def _rule(equation: Any, states: list[Any]) -> Any:
    name = equation.primitive.name
    moving = [index for index, state in enumerate(states) if state != CONSTANT]
    if name in _SPECIAL:
        return _SPECIAL[name](equation, states, moving)
    if len({states[index] for index in moving}) > 1:
        return UNKNOWN
    axes, operand, out = states[moving[0]], equation.invars[moving[0]].aval, equation.outvars[0].aval
    if name in ELEMENTWISE:
        shapes = [equation.invars[index].aval.shape for index in moving]
        kept = all(len(s) == out.ndim and all(s[a] == out.shape[a] for a in axes) for s in shapes)
        return axes if kept else UNKNOWN
    return _move_axes(name, equation.params, axes, operand.shape, out.shape)


def _move_axes(name: str, params: Any, axes: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]) -> Any:
    """Where axes go in an operation that moves, drops or adds axes."""
    if name == "broadcast_in_dim":
        moved = tuple(params["broadcast_dimensions"][a] for a in axes)
        return moved if all(before[a] == after[m] for a, m in zip(axes, moved, strict=True)) else UNKNOWN
    if name == "transpose":
        return tuple(params["permutation"].index(a) for a in axes)
    if name == "squeeze" or name in REDUCTIONS:
        gone = params["dimensions"] if name == "squeeze" else params["axes"]
        return UNKNOWN if set(gone) & set(axes) else tuple(a - sum(g < a for g in gone) for a in axes)
    if name == "reshape":
        places = [_same_place(a, before, after) for a in axes]
        return UNKNOWN if None in places or params.get("dimensions") else tuple(places)
    if name == "concatenate":
        return UNKNOWN if params["dimension"] in axes else axes
    if name == "stack":
        return tuple(a + (a >= params["axis"]) for a in axes)
    if name == "split":
        return UNKNOWN if params["axis"] in axes else axes
    if name == "slice":
        strides = params["strides"] or (1,) * len(before)
        return axes if all(after[a] == before[a] and strides[a] == 1 for a in axes) else UNKNOWN
    if name in ("cumsum", "cumlogsumexp", "cumprod", "cummax"):
        return UNKNOWN if params["axis"] in axes else axes
    return UNKNOWN


def _same_place(axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> int | None:
    """The axis of a row-major reshape that runs over the same index."""
    for new, size in enumerate(after):
        if size == before[axis] and math.prod(after[:new]) == math.prod(before[:axis]):
            return new
    return None


def _gather(equation: Any, states: list[Any], moving: list[int]) -> Any:
    """Looking up elements of a constant table."""
    if moving != [1]:
        return UNKNOWN
    offset = equation.params["dimension_numbers"].offset_dims
    batch = [axis for axis in range(equation.outvars[0].aval.ndim) if axis not in offset]
    last = equation.invars[1].aval.ndim - 1
    return UNKNOWN if last in states[1] else tuple(batch[a] for a in states[1])


def _dot(equation: Any, states: list[Any], moving: list[int]) -> Any:
    """A product of matrices, of which one moves."""
    contract, batch = equation.params["dimension_numbers"]
    if len(moving) != 1:
        return UNKNOWN
    side, ranks = moving[0], [operand.aval.ndim for operand in equation.invars]
    rest = [[a for a in range(n) if a not in (*contract[s], *batch[s])] for s, n in enumerate(ranks)]
    order = [*batch[side], *([] if side == 0 else [None] * len(rest[0])), *rest[side]]
    return UNKNOWN if set(contract[side]) & set(states[side]) else tuple(order.index(a) for a in states[side])


_SPECIAL = {"gather": _gather, "dot_general": _dot}
