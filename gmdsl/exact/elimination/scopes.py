r"""Of which functions a value is the sum: $f(s) = \sum_c f_c(s_c)$, proved from the traced program.

Each element of each array gets a set of *terms*; a term is the set of hidden elements that it may
depend on, written as the bits of an integer. Additive operations unite sets of terms, a product of two
values distributes over them, everything else makes one term of all that it touches. So the answer may
be too careful, never too bold.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal

from gmdsl.core.jaxprs.dataflow import called
from gmdsl.core.jaxprs.linear import is_linear, moved_positions
from gmdsl.core.jaxprs.primitives import ELEMENTWISE, MOVED
from gmdsl.core.jaxprs.tape import Operation, Tape, bound, is_known
from gmdsl.exact.elimination.terms import (
    NOTHING,
    Terms,
    accumulated,
    as_array,
    cross,
    filled,
    join,
    joined,
    reduced,
    unite,
    united,
)

MOST_ELEMENTS = 2**13  # that are hidden
MOST_SIZE = 2**20  # of all arrays together that are looked at


def scopes(program: Tape) -> dict[int, Terms]:
    """The terms of each element of each slot that depends on the variables, whose elements are numbered in order.

    >>> import jax.numpy as jnp
    >>> from gmdsl.core.jaxprs.tape import traced
    >>> found = traced(lambda v: jnp.sum(v["s"][:-1] * v["s"][1:]), {"s": jnp.zeros(4)})
    >>> sorted(bin(term) for term in scopes(found)[found.output].item())
    ['0b11', '0b110', '0b1100']
    """
    known, start = {}, 0
    for slot in program.inputs.values():
        shape = program.avals[slot].shape
        known[slot] = as_array([frozenset([1 << i]) for i in range(start, start + math.prod(shape))], shape)
        start += math.prod(shape)
    for step in program.steps:
        shapes = [program.avals[out].shape for out in step.writes]
        found = _terms(step, [known.get(read) for read in step.reads], program.values, shapes)
        known.update(zip(step.writes, found, strict=True))
    return known


def too_large(program: Tape) -> str | None:
    """Why a program is not looked at; None when it is small enough."""
    hidden = sum(math.prod(program.avals[slot].shape) for slot in program.inputs.values())
    if hidden > MOST_ELEMENTS:
        return f"{hidden} hidden elements, more than {MOST_ELEMENTS}"
    size = sum(math.prod(program.avals[slot].shape) for step in program.steps for slot in step.writes)
    return f"the terms have {size} numbers, more than {MOST_SIZE}" if size > MOST_SIZE else None


def _terms(step: Operation, states: list[Terms | None], values: Mapping[int, Any], shapes: list[Any]) -> list[Terms]:
    name = step.name
    inner = called(step.equation)
    if inner is not None:
        return _inside(inner, step, states, values)
    if is_linear(step, [state is not None for state in states]):
        return _linear(step, states, values, shapes)
    if name in ("mul", "integer_pow", "square"):
        times = step.equation.params["y"] if name == "integer_pow" else 2
        if times in (2, 3):
            factors = [state for state in states if state is not None]
            return [functools.reduce(cross, factors if name == "mul" else factors * times)]
    if name == "dot_general":
        return [_dot_both(step.equation, states[0], states[1])]
    moving = [state for state in states if state is not None]
    if name in ELEMENTWISE:
        return [np.broadcast_to(functools.reduce(join, moving, as_array([NOTHING], ())), shape) for shape in shapes]
    if name in _REDUCTIONS:
        return [reduced(moving[0], step.equation.params["axes"], joined)]
    if name == "gather":
        return [_gather_terms(step.equation, states[0], states[1], shapes[0])]
    everything = joined([term for state in moving for term in state.flat])
    return [filled(everything, shape) for shape in shapes]


def _linear(step: Operation, states: list[Terms | None], values: Mapping[int, Any], shapes: list[Any]) -> list[Terms]:
    """Sums of terms where no new ones arise."""
    name, params = step.name, step.equation.params
    moving = [state for state in states if state is not None]
    if name == "reduce_sum":
        return [reduced(moving[0], params["axes"], united)]
    if name == "cumsum":
        return [accumulated(moving[0], params["axis"], params["reverse"])]
    if name == "dot_general":
        return [_dot(step.equation, states, shapes[0])]
    if name in MOVED:
        return _move_terms(step, states, values, shapes)
    return [np.broadcast_to(functools.reduce(unite, moving), shape) for shape in shapes]


def _move_terms(
    step: Operation, states: list[Terms | None], values: Mapping[int, Any], shapes: list[Any]
) -> list[Terms]:
    """Where elements go is seen by moving their numbers; unknown places may be any of the elements."""
    positions = moved_positions(step)
    others = [i for i in range(len(states)) if i not in positions]
    if not all(is_known(values[step.reads[i]]) for i in others):
        moving = [state for i in positions if (state := states[i]) is not None]
        if step.name == "select_n":
            return [np.broadcast_to(functools.reduce(unite, moving), shapes[0])]
        return [filled(united([terms for state in moving for terms in state.flat]), shape) for shape in shapes]
    table, operands = [NOTHING], []
    for i, slot in enumerate(step.reads):
        state, shape = states[i], step.equation.invars[i].aval.shape
        if i not in positions:
            operands.append(values[slot])
        elif state is None:
            operands.append(np.zeros(shape, np.int32))
        else:
            operands.append(np.arange(len(table), len(table) + state.size, dtype=np.int32).reshape(shape))
            table += list(state.flat)
    with jax.ensure_compile_time_eval():
        found = bound(_with_fill_value(step.equation), operands)
    lookup = as_array(table, (len(table),))
    return [lookup[np.ravel(numbers)].reshape(np.shape(numbers)) for numbers in found]


def _with_fill_value(equation: Any) -> Any:
    """The equation with places outside of an array reading the number 0."""
    if equation.params.get("fill_value") is None and "mode" not in equation.params:
        return equation
    return equation.replace(params={**equation.params, "fill_value": 0})


def _inside(inner: Any, step: Operation, states: list[Terms | None], values: Mapping[int, Any]) -> list[Terms]:
    """The terms of a program that is called as a whole; what it computes by itself counts as not known."""
    jaxpr = getattr(inner, "jaxpr", inner)
    terms = dict(zip(jaxpr.invars, states, strict=True))
    numbers = {variable: values.get(slot) for variable, slot in zip(jaxpr.invars, step.reads, strict=True)}
    for equation in jaxpr.eqns:
        found = [None if isinstance(atom, Literal) else terms.get(atom) for atom in equation.invars]
        if any(state is not None for state in found):
            have = [atom.val if isinstance(atom, Literal) else numbers.get(atom) for atom in equation.invars]
            part = Operation(equation, tuple(range(len(have))), ())
            shapes = [out.aval.shape for out in equation.outvars]
            results = _terms(part, found, dict(enumerate(have)), shapes)
            terms.update(zip(equation.outvars, results, strict=True))
    outputs = [None if isinstance(atom, Literal) else terms.get(atom) for atom in jaxpr.outvars]
    pairs = zip(outputs, jaxpr.outvars, strict=True)
    return [filled(NOTHING, atom.aval.shape) if found is None else found for found, atom in pairs]


def _dot(equation: Any, states: list[Terms | None], shape: tuple[int, ...]) -> Terms:
    """A product with a known matrix: sums over the contracted axes."""
    contract, batch = equation.params["dimension_numbers"]
    side = 0 if states[0] is not None else 1
    state, other = states[side], equation.invars[1 - side].aval.ndim
    assert state is not None
    rest = [a for a in range(state.ndim) if a not in (*contract[side], *batch[side])]
    axes = [*batch[side], *rest, *contract[side]]
    kept = reduced(state.transpose(axes), tuple(range(len(axes) - len(contract[side]), len(axes))), united)
    new = other - len(contract[1 - side]) - len(batch[1 - side])
    place = len(batch[side]) if side == 1 else len(batch[side]) + len(rest)
    return np.broadcast_to(np.expand_dims(kept, tuple(range(place, place + new))), shape)


def _dot_both(equation: Any, left: Terms | None, right: Terms | None) -> Terms:
    """A product of two values that both depend on the variables."""
    assert left is not None
    assert right is not None
    contract, batch = equation.params["dimension_numbers"]
    sides = []
    for side, state in enumerate((left, right)):
        rest = [a for a in range(state.ndim) if a not in (*contract[side], *batch[side])]
        moved = state.transpose([*batch[side], *rest, *contract[side]])
        sides.append((moved, len(batch[side]), len(rest)))
    (first, ahead, mine), (second, _, others) = sides
    first = np.expand_dims(first, tuple(range(ahead + mine, ahead + mine + others)))
    second = np.expand_dims(second, tuple(range(ahead, ahead + mine)))
    product = cross(first, second)
    return reduced(product, tuple(range(ahead + mine + others, product.ndim)), united)


def _gather_terms(equation: Any, operand: Terms | None, indices: Terms | None, shape: tuple[int, ...]) -> Terms:
    """Looking up at places that depend on the variables: one term of the place and all that may be found there."""
    numbers = equation.params["dimension_numbers"]
    if indices is None:
        raise AssertionError("a lookup at known places is linear")
    batch = [axis for axis in range(len(shape)) if axis not in numbers.offset_dims]
    place = np.expand_dims(reduced(indices, (indices.ndim - 1,), joined), numbers.offset_dims)
    found = np.broadcast_to(place, shape)
    if operand is None:
        return join(found, as_array([NOTHING], ()))
    apart = numbers.operand_batching_dims
    others = tuple(a for a in range(operand.ndim) if a not in apart)
    content = reduced(operand, others, joined)  # over the batching axes, in their order
    where = [batch[axis] for axis in numbers.start_indices_batching_dims]
    content = content.transpose(np.argsort(where)) if where else content
    content = np.expand_dims(content, tuple(a for a in range(len(shape)) if a not in where))
    return np.broadcast_to(join(found, content), shape)


_REDUCTIONS = {"reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "reduce_xor", "argmax", "argmin"}
