"""Whether the elements of a result depend on one element of an input each, proved from the traced program.

The state of a value is where the axes of the input lie in it: in a value with state (2, 0), the
element at [j, :, i] depends on the element [i, j] of the input and on no other. On the way an axis may be a part
of a longer one, after a reshape: index i of n is then at the places (outer * n + i) * inner + rest, and the state
holds (axis, inner).
"""

import math
from collections.abc import Callable
from typing import Any

import jax

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
    states = [tuple((axis, 1, size) for axis, size in enumerate(array.shape)) for array in inputs]
    found = output_states(function, inputs, list(states), _rule)
    shapes = jax.eval_shape(function, *inputs)
    return jax.tree.map(lambda out, state: _whole_axes(state, out.shape), shapes, found)


def _whole_axes(state: Any, shape: tuple[int, ...]) -> Any:
    """The axes of a result, where each is an axis of the input and not a part of a longer one."""
    if state in (CONSTANT, UNKNOWN):
        return state
    return tuple(axis for axis, _, _ in state) if all(shape[axis] == size for axis, _, size in state) else UNKNOWN


def _rule(equation: Any, states: list[Any]) -> Any:
    name = equation.primitive.name
    moving = [index for index, state in enumerate(states) if state != CONSTANT]
    found = {_moved(name, equation, side, states[side]) for side in moving}
    return found.pop() if len(found) == 1 else UNKNOWN


def _moved(name: str, equation: Any, side: int, state: Any) -> Any:
    """Where the axes of one operand lie in the result, whatever the others do."""
    operand, out = equation.invars[side].aval, equation.outvars[0].aval
    if name == "reshape":
        places = [_same_place(place, operand.shape, out.shape) for place in state]
        return UNKNOWN if None in places or equation.params.get("dimensions") else tuple(places)
    axes = tuple(axis for axis, _, _ in state)
    if name in _SPECIAL:
        found = _SPECIAL[name](equation, side, axes)
    elif name in ELEMENTWISE:
        kept = operand.ndim == out.ndim and all(operand.shape[a] == out.shape[a] for a in axes)
        found = axes if kept else UNKNOWN
    else:
        found = _move_axes(name, equation.params, axes, operand.shape, out.shape)
    return UNKNOWN if found == UNKNOWN else tuple((a, *rest) for a, (_, *rest) in zip(found, state, strict=True))


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


def _same_place(place: tuple[int, int, int], before: tuple[int, ...], after: tuple[int, ...]) -> Any:
    """The place after a row-major reshape, which keeps how far apart neighbours are; None when it is torn."""
    axis, inner, size = place
    apart = inner * math.prod(before[axis + 1 :])
    for new in sorted(range(len(after)), key=lambda new: after[new] != size):
        below = math.prod(after[new + 1 :])
        if apart % below == 0 and (below * after[new]) % (apart * size) == 0:
            return new, apart // below, size
    return None


def _gather(equation: Any, side: int, axes: tuple[int, ...]) -> Any:
    """Looking up elements: of an array that moves those that are taken whole or go along, or by indices that move."""
    numbers, operand = equation.params["dimension_numbers"], equation.invars[0].aval
    batch = [axis for axis in range(equation.outvars[0].aval.ndim) if axis not in numbers.offset_dims]
    if side == 1:
        last = equation.invars[1].aval.ndim - 1
        return UNKNOWN if last in axes else tuple(batch[a] for a in axes)
    apart = numbers.operand_batching_dims
    windows = [a for a in range(operand.ndim) if a not in (*apart, *numbers.collapsed_slice_dims)]
    found = {a: batch[at] for a, at in zip(apart, numbers.start_indices_batching_dims, strict=True)}
    whole = [a for a in windows if a not in numbers.start_index_map]
    found |= {a: numbers.offset_dims[windows.index(a)] for a in whole}
    return tuple(found[a] for a in axes) if set(axes) <= set(found) else UNKNOWN


def _dot(equation: Any, side: int, axes: tuple[int, ...]) -> Any:
    """A product of matrices, one for each element where both move."""
    contract, batch = equation.params["dimension_numbers"]
    ranks = [operand.aval.ndim for operand in equation.invars]
    rest = [[a for a in range(n) if a not in (*contract[s], *batch[s])] for s, n in enumerate(ranks)]
    order = [*batch[side], *([] if side == 0 else [None] * len(rest[0])), *rest[side]]
    return UNKNOWN if set(contract[side]) & set(axes) else tuple(order.index(a) for a in axes)


def _solve(equation: Any, side: int, axes: tuple[int, ...]) -> Any:
    """A system of equations for each matrix, and for each right-hand side."""
    rank = equation.outvars[0].aval.ndim
    mixed = {rank - 2, rank - 1} if side == 0 else {rank - 2 if equation.params["left_side"] else rank - 1}
    return UNKNOWN if mixed & set(axes) else axes


def _matrices(equation: Any, side: int, axes: tuple[int, ...]) -> Any:
    """What is done to each matrix."""
    rank = equation.invars[side].aval.ndim
    return UNKNOWN if {rank - 2, rank - 1} & set(axes) else axes


_SPECIAL = {"gather": _gather, "dot_general": _dot, "triangular_solve": _solve, "cholesky": _matrices}
