r"""Which pairs of inputs of a function interact, and whether it is a polynomial, read off its traced program.

Inputs i and j do not interact where $f(x) = a(x_{-i}) + b(x_{-j})$; then the law of $x_i$ given the rest does not
depend on $x_j$. Sums and operations that move elements join nothing, a product joins what one factor depends on
with what the other does, any other function joins all that it touches. What is found may be too much, never too little.

Reference:
    Walther, *Computing sparse Hessians with automatic differentiation*, ACM Trans. Math. Softw., 2008.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from gmdsl.core.jaxprs.linear import is_linear, moved_positions
from gmdsl.core.jaxprs.primitives import ELEMENTWISE, MOVED
from gmdsl.core.jaxprs.tape import Operation, Tape, bound, is_known
from gmdsl.exact.conditionals.dependence import (
    MOST_NUMBERS,
    NOT,
    Dependence,
    TooManyError,
    inputs,
    joined,
    lines,
    moved,
    nothing,
    product,
    stretched,
    united,
)


class Interactions(NamedTuple):
    """What is known of a program of one variable, a vector.

    Attributes:
        dependences: of each slot that depends on the vector.
        pairs: truth values, (input, input): which may interact; symmetric. The diagonal says which inputs the function
            is not linear in.
    """

    dependences: dict[int, Dependence]
    pairs: csr_array


def interactions(program: Tape, whole: bool = True) -> Interactions | None:
    """The pairs of inputs of a program that interact, and on what all of its arrays depend; None if there is too much.

    Args:
        program: of one variable, a vector of numbers.
        whole: whether these are whole numbers, which rounding leaves as they are.

    >>> import jax.numpy as jnp
    >>> from gmdsl.core.jaxprs.tape import traced
    >>> found = interactions(traced(lambda v: jnp.sum(v["s"][:-1] * v["s"][1:]), {"s": jnp.zeros(4)}))
    >>> found.pairs.toarray().astype(int).tolist()
    [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    """
    (slot,) = program.inputs.values()
    count = program.avals[slot].shape[0]
    look = _Pass(count)
    known = {slot: inputs(count, whole)}
    try:
        for step in program.steps:
            parts = [part if (part := known.get(read)) and part.rows.nnz else None for read in step.reads]
            values = [program.values.get(read) for read in step.reads]
            if any(part is not None for part in parts):
                results = look.through(step, parts, values)
            else:  # of what lies beside the inputs in one array, as the other variables of a block do
                results = [nothing(math.prod(out.aval.shape), count) for out in step.equation.outvars]
            known.update(zip(step.writes, results, strict=True))
    except TooManyError:
        return None
    known.setdefault(program.output, nothing(1, count))
    return Interactions(known, csr_array(look.pairs + look.pairs.T))


def without_constants(program: Tape, found: Interactions, x: Any) -> Tape:
    """The program with every step done that depends on no input, though it reads an array in which inputs lie.

    Args:
        program: of one vector.
        found: on what its arrays depend.
        x: the vector.
    """
    values, steps = dict(program.values), []
    (vector,) = program.inputs.values()
    have = {**values, vector: x}
    constant = {slot for slot, part in found.dependences.items() if not part.rows.nnz}
    wanted = set(constant)
    for step in reversed(program.steps):
        if wanted & set(step.writes):
            wanted |= set(step.reads)
    for step in program.steps:
        if wanted & set(step.writes):
            have.update(zip(step.writes, bound(step.equation, [have[read] for read in step.reads]), strict=True))
        if set(step.writes) <= constant:
            values.update((slot, have[slot]) for slot in step.writes)
        else:
            steps.append(step)
    return program._replace(steps=tuple(steps), values=values)


class _Pass:
    """One pass over a program; `pairs` grows with it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pairs = csr_array((count, count), dtype=bool)

    def join(self, a: csr_array, b: csr_array | None = None) -> None:
        """Takes note that, element by element, what a depends on meets what b depends on (or a itself)."""
        self.pairs = csr_array(self.pairs + product(csr_array(a.T), a if b is None else b))

    def through(self, step: Operation, parts: list[Dependence | None], values: list[Any]) -> list[Dependence]:
        """What the results of a step depend on."""
        name, shapes = step.name, [out.aval.shape for out in step.equation.outvars]
        moving = [part for part in parts if part is not None]
        if name in ("round", "convert_element_type", "copy", "copy_p", "stop_gradient"):
            return [self.kept(step, moving[0])]
        if name == "scatter" and parts[1] is None and is_known(values[1]):
            return moved(step, parts, values)
        if name in ("reduce_sum", "cumsum") and is_linear(step, [True]):
            return [self.added(step, moving[0])]
        if name in MOVED and is_linear(step, [part is not None for part in parts]):
            others = [i for i in range(len(parts)) if i not in moved_positions(step)]
            if all(is_known(values[i]) for i in others):
                return moved(step, parts, values)
        if name == "dot_general" and is_linear(step, [True, False]):
            return [self.multiplied(step, parts, values, shapes[0])]
        if name in ELEMENTWISE:
            return [self.elementwise(step, parts, values, shapes[0])]
        if name in _REDUCTIONS:
            return [self.reduced(step, moving[0])]
        if name == "gather" and parts[0] is None and parts[1] is not None:
            return [self.looked_up(step, parts[1], shapes[0])]
        return self.mixed(moving, shapes)

    def mixed(self, parts: list[Dependence], shapes: list[Any]) -> list[Dependence]:
        """An operation of which nothing is known."""
        self.join(joined(parts, 1).rows)
        return [joined(parts, math.prod(shape)) for shape in shapes]

    def kept(self, step: Operation, part: Dependence) -> Dependence:
        """Rounding and other types, which leave whole numbers as they are."""
        before, after = step.equation.invars[0].aval.dtype, step.equation.outvars[0].aval.dtype
        if np.issubdtype(after, np.floating) and step.name != "round":
            return part
        wide = np.issubdtype(after, np.floating) or (after.kind == "i" and after.itemsize >= 4)
        if (part.whole or part.partly or (before.kind in "ib" and step.name != "round")) and wide:
            return part._replace(whole=True)
        self.join(part.rows)
        return part.curved(whole=step.name == "round")

    def added(self, step: Operation, part: Dependence) -> Dependence:
        """Sums along axes."""
        shape = step.equation.invars[0].aval.shape
        if step.name == "reduce_sum":
            out, count = lines(shape, step.equation.params["axes"])
            return part.summed(out, np.arange(len(out)), count)
        axis, size = step.equation.params["axis"], shape[step.equation.params["axis"]]
        numbers = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), axis, -1).reshape(-1, size)
        if step.equation.params["reverse"]:
            numbers = numbers[:, ::-1]
        late, early = np.tril_indices(size)
        return part.summed(numbers[:, late].ravel(), numbers[:, early].ravel(), math.prod(shape))

    def elementwise(
        self, step: Operation, parts: list[Dependence | None], values: list[Any], shape: tuple[int, ...]
    ) -> Dependence:
        """Functions of elements at the same place."""
        name, before = step.name, [variable.aval.shape for variable in step.equation.invars]
        wide = [None if p is None else stretched(p, b, shape) for p, b in zip(parts, before, strict=True)]
        moving = [part for part in wide if part is not None]
        whole = all(
            (part.whole if part is not None else _is_whole(value)) for part, value in zip(wide, values, strict=True)
        )
        if is_linear(step, [part is not None for part in parts]):
            if name == "mul":
                return _masked(moving[0], next(v for v, p in zip(values, wide, strict=True) if p is None), shape, whole)
            degree = functools.reduce(np.maximum, [part.degree for part in moving])
            return united(moving, degree, whole and name != "div")
        if name == "select_n":
            return self.selected(wide, shape)
        if name == "mul" and len(moving) == 2 and _is_number(step):
            self.join(moving[0].rows, moving[1].rows)
            degree = np.minimum(moving[0].degree + moving[1].degree, NOT)
            return united(moving, degree, whole)
        if name in ("square", "integer_pow") and _is_number(step):
            times = step.equation.params["y"] if name == "integer_pow" else 2
            self.join(moving[0].rows)
            degree = np.minimum(moving[0].degree * times, NOT) if times >= 0 else moving[0].curved().degree
            return Dependence(moving[0].rows, degree, whole and times >= 0)
        rows = united(moving, np.zeros(0), False).rows
        self.join(rows)
        return Dependence(
            rows, np.where(np.diff(rows.indptr) > 0, NOT, 0), step.equation.outvars[0].aval.dtype.kind == "i"
        )

    def selected(self, parts: list[Dependence | None], shape: tuple[int, ...]) -> Dependence:
        """A choice: what decides meets itself and the cases, which do not meet each other."""
        which, cases = parts[0], [part for part in parts[1:] if part is not None]
        whole = all(part is not None and part.whole for part in parts[1:])
        if which is None:
            return united(cases, functools.reduce(np.maximum, [part.degree for part in cases]), whole)
        self.join(which.rows)
        for case in cases:
            self.join(which.rows, case.rows)
        everything = united([which, *cases], np.zeros(0), False).rows
        return Dependence(everything, np.where(np.diff(everything.indptr) > 0, NOT, 0), whole)

    def reduced(self, step: Operation, part: Dependence) -> Dependence:
        """A function of all elements along some axes that is no sum."""
        out, count = lines(step.equation.invars[0].aval.shape, step.equation.params["axes"])
        found = part.summed(out, np.arange(len(out)), count)
        self.join(found.rows)
        return found.curved(whole=step.name.startswith("arg"))

    def looked_up(self, step: Operation, places: Dependence, shape: tuple[int, ...]) -> Dependence:
        """Constants at places that depend on the inputs: each on those of its place alone."""
        numbers, before = step.equation.params["dimension_numbers"], step.equation.invars[1].aval.shape
        out, count = lines(before, (len(before) - 1,))
        one = places.summed(out, np.arange(len(out)), count)
        self.join(one.rows)
        spread = np.expand_dims(np.arange(1, count + 1).reshape(before[:-1]), numbers.offset_dims)
        return one.taken(np.broadcast_to(spread, shape)).curved()

    def multiplied(
        self, step: Operation, parts: list[Dependence | None], values: list[Any], shape: tuple[int, ...]
    ) -> Dependence:
        """Products of matrices: sums over products of elements."""
        left, right = _factors(step, math.prod(shape))
        if len(left) > MOST_NUMBERS:
            raise TooManyError
        out = np.repeat(np.arange(math.prod(shape)), len(left) // max(math.prod(shape), 1))
        first, second = parts
        if first is not None and second is not None:
            a, b = first.taken(left + 1), second.taken(right + 1)
            self.join(a.rows, b.rows)
            degree = np.minimum(a.degree + b.degree, NOT)
            both = united([a, b], degree, a.whole and b.whole)
            return both.summed(out, np.arange(len(out)), math.prod(shape))
        part, places, value = (first, left, values[1]) if first is not None else (second, right, values[0])
        assert part is not None
        whole = part.whole and _is_whole(value)
        if is_known(value) and part.degree.max(initial=0) < NOT:
            there = np.asarray(value).ravel()[right if first is not None else left] != 0
            out, places = out[there], places[there]
        return part.summed(out, places, math.prod(shape))._replace(whole=whole, partly=False)


def _factors(step: Operation, size: int) -> tuple[np.ndarray, np.ndarray]:
    """For each product of two elements in a product of matrices, result by result, the numbers of both elements."""
    contract, batch = step.equation.params["dimension_numbers"]
    shapes = [variable.aval.shape for variable in step.equation.invars]
    terms = math.prod(shapes[0][a] for a in contract[0])
    if size * terms > MOST_NUMBERS:
        raise TooManyError
    sides = []
    for side in (0, 1):
        rest = [a for a in range(len(shapes[side])) if a not in (*contract[side], *batch[side])]
        numbers = np.arange(math.prod(shapes[side])).reshape(shapes[side])
        moved_to = numbers.transpose([*batch[side], *rest, *contract[side]])
        together = math.prod(shapes[side][a] for a in batch[side])
        sides.append(moved_to.reshape(together, -1, terms))
    left, right = sides[0][:, :, None, :], sides[1][:, None, :, :]
    shape = np.broadcast_shapes(left.shape, right.shape)
    return np.broadcast_to(left, shape).ravel(), np.broadcast_to(right, shape).ravel()


def _masked(part: Dependence, value: Any, shape: tuple[int, ...], whole: bool) -> Dependence:
    """A product with constants; where they are known to be zero, and the rest is finite, nothing is left of it."""
    if not is_known(value) or part.degree.max(initial=0) >= NOT:
        return part._replace(whole=whole, partly=False)
    there = np.broadcast_to(np.asarray(value), shape).ravel() != 0
    if there.all():
        return part._replace(whole=whole, partly=False)
    return part.taken(np.where(there, np.arange(1, 1 + len(there)), 0), whole)


def _is_whole(value: Any) -> bool:
    """Whether all of a constant is known to be whole numbers."""
    if not is_known(value):
        return False
    numbers = np.asarray(value)
    return bool(numbers.dtype.kind in "ib" or np.all(numbers == np.round(numbers)))


def _is_number(step: Operation) -> bool:
    """Whether products of a step are products of numbers, and not of truth values or of few bits."""
    dtype = step.equation.outvars[0].aval.dtype
    return np.issubdtype(dtype, np.floating) or (dtype.kind == "i" and dtype.itemsize >= 4)


_REDUCTIONS = {"reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "reduce_xor", "argmax", "argmin"}
