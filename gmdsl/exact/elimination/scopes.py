r"""Of which functions a value is the sum: $f(s) = \sum_c f_c(s_c)$, proved from the traced program.

Each element of each array gets a set of *terms*; a term is the set of hidden elements that it may
depend on, written as the bits of an integer. Additive operations unite sets of terms, a product of two
values distributes over them, everything else makes one term of all that it touches. So the answer may
be too careful, never too bold.
"""

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal

from gmdsl.core.jaxprs.dataflow import called
from gmdsl.core.jaxprs.linear import is_linear, moved_positions
from gmdsl.core.jaxprs.primitives import ELEMENTWISE, MOVED
from gmdsl.core.jaxprs.tape import Step, Steps, bound, is_known

MOST_ELEMENTS = 2**13  # that are hidden
MOST_SIZE = 2**20  # of all arrays together that are looked at
MOST_TERMS = 2**16  # of one element; more become one term
MOST_PRODUCTS = 2**12  # of terms in one product

type Terms = np.ndarray  # of frozensets of integers

NOTHING: frozenset[int] = frozenset()


def scopes(program: Steps) -> dict[int, Terms]:
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
        known[slot] = _array([frozenset([1 << i]) for i in range(start, start + math.prod(shape))], shape)
        start += math.prod(shape)
    for step in program.steps:
        shapes = [program.avals[out].shape for out in step.writes]
        found = _terms(step, [known.get(read) for read in step.reads], program.values, shapes)
        known.update(zip(step.writes, found, strict=True))
    return known


def too_large(program: Steps) -> str | None:
    """Why a program is not looked at; None when it is small enough."""
    hidden = sum(math.prod(program.avals[slot].shape) for slot in program.inputs.values())
    if hidden > MOST_ELEMENTS:
        return f"{hidden} hidden elements, more than {MOST_ELEMENTS}"
    size = sum(math.prod(program.avals[slot].shape) for step in program.steps for slot in step.writes)
    return f"the terms have {size} numbers, more than {MOST_SIZE}" if size > MOST_SIZE else None


def maximal(terms: frozenset[int]) -> list[int]:
    """The terms that lie in no other."""
    kept: list[int] = []
    for term in sorted(terms, key=lambda t: (-t.bit_count(), t)):
        if len(terms) < 2 or not any(term & other == term for other in kept):
            kept.append(term)
    return kept


def _terms(step: Step, states: list[Terms | None], values: Mapping[int, Any], shapes: list[Any]) -> list[Terms]:
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
            return [functools.reduce(_cross, factors if name == "mul" else factors * times)]
    if name == "dot_general":
        return [_dot_both(step.equation, states[0], states[1])]
    moving = [state for state in states if state is not None]
    if name in ELEMENTWISE:
        return [np.broadcast_to(functools.reduce(_join, moving, _array([NOTHING], ())), shape) for shape in shapes]
    if name in _REDUCTIONS:
        return [_reduced(moving[0], step.equation.params["axes"], _joined)]
    if name == "gather":
        return [_gathered(step.equation, states[0], states[1], shapes[0])]
    everything = _joined([term for state in moving for term in state.flat])
    return [_full(everything, shape) for shape in shapes]


def _linear(step: Step, states: list[Terms | None], values: Mapping[int, Any], shapes: list[Any]) -> list[Terms]:
    """Sums of terms where no new ones arise."""
    name, params = step.name, step.equation.params
    moving = [state for state in states if state is not None]
    if name == "reduce_sum":
        return [_reduced(moving[0], params["axes"], _united)]
    if name == "cumsum":
        return [_accumulated(moving[0], params["axis"], params["reverse"])]
    if name == "dot_general":
        return [_dot(step.equation, states, shapes[0])]
    if name in MOVED:
        return _moved(step, states, values, shapes)
    return [np.broadcast_to(functools.reduce(_unite, moving), shape) for shape in shapes]


def _moved(step: Step, states: list[Terms | None], values: Mapping[int, Any], shapes: list[Any]) -> list[Terms]:
    """Where elements go is seen by moving their numbers; unknown places may be any of the elements."""
    positions = moved_positions(step)
    others = [i for i in range(len(states)) if i not in positions]
    if not all(is_known(values[step.reads[i]]) for i in others):
        moving = [state for i in positions if (state := states[i]) is not None]
        if step.name == "select_n":
            return [np.broadcast_to(functools.reduce(_unite, moving), shapes[0])]
        return [_full(_united([terms for state in moving for terms in state.flat]), shape) for shape in shapes]
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
        found = bound(_filled(step.equation), operands)
    lookup = _array(table, (len(table),))
    return [lookup[np.ravel(numbers)].reshape(np.shape(numbers)) for numbers in found]


def _filled(equation: Any) -> Any:
    """The equation with places outside of an array reading the number 0."""
    if equation.params.get("fill_value") is None and "mode" not in equation.params:
        return equation
    return equation.replace(params={**equation.params, "fill_value": 0})


def _inside(inner: Any, step: Step, states: list[Terms | None], values: Mapping[int, Any]) -> list[Terms]:
    """The terms of a program that is called as a whole; what it computes by itself counts as not known."""
    jaxpr = getattr(inner, "jaxpr", inner)
    terms = dict(zip(jaxpr.invars, states, strict=True))
    numbers = {variable: values.get(slot) for variable, slot in zip(jaxpr.invars, step.reads, strict=True)}
    for equation in jaxpr.eqns:
        found = [None if isinstance(atom, Literal) else terms.get(atom) for atom in equation.invars]
        if any(state is not None for state in found):
            have = [atom.val if isinstance(atom, Literal) else numbers.get(atom) for atom in equation.invars]
            part = Step(equation, tuple(range(len(have))), ())
            shapes = [out.aval.shape for out in equation.outvars]
            results = _terms(part, found, dict(enumerate(have)), shapes)
            terms.update(zip(equation.outvars, results, strict=True))
    outputs = [None if isinstance(atom, Literal) else terms.get(atom) for atom in jaxpr.outvars]
    pairs = zip(outputs, jaxpr.outvars, strict=True)
    return [_full(NOTHING, atom.aval.shape) if found is None else found for found, atom in pairs]


def _dot(equation: Any, states: list[Terms | None], shape: tuple[int, ...]) -> Terms:
    """A product with a known matrix: sums over the contracted axes."""
    contract, batch = equation.params["dimension_numbers"]
    side = 0 if states[0] is not None else 1
    state, other = states[side], equation.invars[1 - side].aval.ndim
    assert state is not None
    rest = [a for a in range(state.ndim) if a not in (*contract[side], *batch[side])]
    axes = [*batch[side], *rest, *contract[side]]
    kept = _reduced(state.transpose(axes), tuple(range(len(axes) - len(contract[side]), len(axes))), _united)
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
    product = _cross(first, second)
    return _reduced(product, tuple(range(ahead + mine + others, product.ndim)), _united)


def _gathered(equation: Any, operand: Terms | None, indices: Terms | None, shape: tuple[int, ...]) -> Terms:
    """Looking up at places that depend on the variables: one term of the place and all that may be found there."""
    numbers = equation.params["dimension_numbers"]
    if indices is None:
        raise AssertionError("a lookup at known places is linear")
    batch = [axis for axis in range(len(shape)) if axis not in numbers.offset_dims]
    place = np.expand_dims(_reduced(indices, (indices.ndim - 1,), _joined), numbers.offset_dims)
    found = np.broadcast_to(place, shape)
    if operand is None:
        return _join(found, _array([NOTHING], ()))
    apart = numbers.operand_batching_dims
    others = tuple(a for a in range(operand.ndim) if a not in apart)
    content = _reduced(operand, others, _joined)  # over the batching axes, in their order
    where = [batch[axis] for axis in numbers.start_indices_batching_dims]
    content = content.transpose(np.argsort(where)) if where else content
    content = np.expand_dims(content, tuple(a for a in range(len(shape)) if a not in where))
    return np.broadcast_to(_join(found, content), shape)


def _reduced(state: Terms, axes: tuple[int, ...], rule: Callable[[Any], frozenset[int]]) -> Terms:
    """The sets along some axes made into one."""
    kept = [a for a in range(state.ndim) if a not in axes]
    shape = tuple(state.shape[a] for a in kept)
    rows = state.transpose([*kept, *axes]).reshape(math.prod(shape), -1)
    return _array([rule(list(row)) for row in rows], shape)


def _accumulated(state: Terms, axis: int, reverse: bool) -> Terms:
    """The sets of partial sums along an axis."""
    back = slice(None, None, -1 if reverse else 1)
    moved = np.moveaxis(state, axis, -1)[..., back]
    rows = [itertools.accumulate(row, lambda a, b: _united([a, b])) for row in moved.reshape(-1, moved.shape[-1])]
    found = _array([terms for row in rows for terms in row], moved.shape)
    return np.moveaxis(found[..., back], -1, axis)


def _united(sets: list[frozenset[int]]) -> frozenset[int]:
    """The terms of a sum."""
    found = NOTHING.union(*sets)
    return found if len(found) <= MOST_TERMS else _joined([found])


def _joined(sets: list[frozenset[int]]) -> frozenset[int]:
    """The one term of a function of several values."""
    bits = functools.reduce(lambda a, b: a | b, NOTHING.union(*sets), 0)
    return frozenset([bits]) if bits else NOTHING


def _crossed(a: frozenset[int], b: frozenset[int]) -> frozenset[int]:
    """The terms of a product."""
    if not a or not b:
        return a or b
    return frozenset(x | y for x in a for y in b) if len(a) * len(b) <= MOST_PRODUCTS else _joined([a, b])


def _array(sets: list[Any], shape: tuple[int, ...]) -> Terms:
    found = np.empty(len(sets), object)
    found[:] = sets
    return found.reshape(shape)


def _full(terms: frozenset[int], shape: tuple[int, ...]) -> Terms:
    return _array([terms] * math.prod(shape), shape)


def _elementwise(rule: Callable[[Any, Any], frozenset[int]]) -> Callable[[Any, Any], Terms]:
    """A rule for two sets as one for arrays of them, which keeps arrays without axes."""
    ufunc = np.frompyfunc(rule, 2, 1)

    def apply(a: Any, b: Any) -> Terms:
        found = ufunc(a, b)
        return found if isinstance(found, np.ndarray) else _array([found], ())

    return apply


_unite = _elementwise(lambda a, b: _united([a, b]))
_join = _elementwise(lambda a, b: _joined([a, b]))
_cross = _elementwise(_crossed)

_REDUCTIONS = {"reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "reduce_xor", "argmax", "argmin"}
