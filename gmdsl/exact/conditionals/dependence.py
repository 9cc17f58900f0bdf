r"""On which inputs each element of each array of a program depends, and up to which degree.

A *dependence* is a matrix of truth values, one row for each element of an array, one column for each input, and for
each element the degree of the polynomial that it is in the inputs (`NOT` where it is none that is known). Operations
that move, add and look up elements are followed exactly, by doing them to the numbers of the rows.
"""

import math
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.sparse import csr_array, eye_array, vstack

from gmdsl.core.jaxprs.linear import moved_positions
from gmdsl.core.jaxprs.tape import Operation, bound

NOT = 99  # the degree of what is no polynomial
MOST_NUMBERS = 2**25  # pairs of an element and an input, and of two inputs, that are looked at


class TooManyError(Exception):
    """A program has more pairs than are looked at."""


class Dependence(NamedTuple):
    """What an array depends on.

    Attributes:
        rows: truth values, (element, input).
        degree: of each element as a polynomial in the inputs.
        whole: whether all values are whole numbers.
        partly: whether those are that depend on an input, as where labels lie beside real numbers in one array.
    """

    rows: csr_array
    degree: np.ndarray
    whole: bool
    partly: bool = False

    def taken(self, places: np.ndarray, whole: bool | None = None) -> "Dependence":
        """That of the elements at some places; place 0 is a constant, element i has place i + 1."""
        places, size = np.ravel(places), self.rows.shape[0]
        chosen = _ones(np.arange(len(places)), np.where(places > 0, places - 1, 0), (len(places), size), places > 0)
        degree = np.concatenate([[0], self.degree])[places]
        partly = whole is None and (self.whole or self.partly)
        return Dependence(product(chosen, self.rows), degree, self.whole if whole is None else whole, partly)

    def summed(self, out: np.ndarray, places: np.ndarray, count: int) -> "Dependence":
        """That of sums: the element at `places[i]` is added to the result `out[i]`."""
        degree = np.zeros(count, self.degree.dtype)
        np.maximum.at(degree, out, self.degree[places])
        sums = _ones(out, places, (count, self.rows.shape[0]))
        return Dependence(product(sums, self.rows), degree, self.whole)

    def curved(self, whole: bool = False) -> "Dependence":
        """That of a function of each element which is no polynomial."""
        return Dependence(self.rows, np.where(self.degree == 0, 0, NOT), whole)


def inputs(count: int, whole: bool) -> Dependence:
    """The inputs themselves."""
    return Dependence(csr_array(eye_array(count, dtype=bool)), np.ones(count, int), whole)


def nothing(count: int, width: int) -> Dependence:
    """What depends on no input."""
    return Dependence(csr_array((count, width), dtype=bool), np.zeros(count, int), False)


def united(parts: list[Dependence], degree: np.ndarray, whole: bool) -> Dependence:
    """What depends, element by element, on all of some arrays of one shape."""
    rows = parts[0].rows
    for part in parts[1:]:
        rows = csr_array(rows + part.rows)
    return Dependence(rows, degree, whole)


def joined(parts: list[Dependence], count: int) -> Dependence:
    """Arrays of which any element may depend on all that some arrays depend on."""
    width = parts[0].rows.shape[1]
    columns = np.unique(np.concatenate([part.rows.indices for part in parts]))
    if count * len(columns) > MOST_NUMBERS:
        raise TooManyError
    row = csr_array((np.ones(len(columns), bool), columns, [0, len(columns)]), (1, width))
    return Dependence(row, np.array([NOT]), False).taken(np.ones(count, int))


def stretched(part: Dependence, before: tuple[int, ...], after: tuple[int, ...]) -> Dependence:
    """That of an operand in the shape of the result: operands without axes go with every element."""
    if before == after:
        return part
    return part.taken(np.broadcast_to(np.arange(1, 1 + math.prod(before)).reshape(before), after))


def moved(step: Operation, parts: list[Dependence | None], values: list[Any]) -> list[Dependence]:
    """What the elements of the results of a step that moves them depend on, by moving their numbers.

    Args:
        step: reads indices that are known.
        parts: of the operands; None where one depends on no input.
        values: of the operands that are known.
    """
    positions = moved_positions(step) if step.name != "scatter" else (0, 2)
    operands, stack, start = [], [], 1
    for i, variable in enumerate(step.equation.invars):
        part, shape = parts[i], variable.aval.shape
        if i not in positions:
            operands.append(values[i])
        elif part is None:
            operands.append(np.zeros(shape, np.int32))
        else:
            operands.append(np.arange(start, start + math.prod(shape), dtype=np.int32).reshape(shape))
            stack.append(part)
            start += math.prod(shape)
    rows = stack[0].rows if len(stack) == 1 else csr_array(vstack([part.rows for part in stack]))
    # What is put beside the elements is zero, or was known before; whether it is whole is not looked at.
    whole = all(part.whole for part in stack) and len(stack) == len(positions)
    partly = all(part.whole or part.partly for part in stack)
    all_of = Dependence(rows, np.concatenate([part.degree for part in stack]), whole, partly)
    with jax.ensure_compile_time_eval():
        numbers = _numbers(step, operands)
    return [all_of.taken(np.asarray(found)) for found in numbers]


def _numbers(step: Operation, operands: list[Any]) -> list[Any]:
    equation = step.equation
    if step.name == "scatter":
        names = ("indices_are_sorted", "unique_indices", "mode")
        settings = {name: equation.params[name] for name in names}
        return [jax.lax.scatter(*operands, equation.params["dimension_numbers"], **settings)]
    if "fill_value" in equation.params and "mode" in equation.params:  # places outside read the number 0
        equation = equation.replace(params={**equation.params, "fill_value": 0})
    return bound(equation, operands)


def lines(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """For each element of an array, where it goes when some axes are reduced, and how many places there are."""
    kept = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    numbers = np.arange(math.prod(kept)).reshape([1 if a in axes else size for a, size in enumerate(shape)])
    return np.broadcast_to(numbers, shape).ravel(), math.prod(kept)


def product(a: csr_array, b: csr_array) -> csr_array:
    """A product of matrices of truth values."""
    work = int(np.diff(b.indptr)[a.indices].sum())
    if work > MOST_NUMBERS:
        raise TooManyError
    found = csr_array(a @ b)
    found.eliminate_zeros()
    return found


def _ones(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], where: Any = True) -> csr_array:
    keep = np.broadcast_to(where, rows.shape)
    return csr_array((np.ones(int(keep.sum()), bool), (rows[keep], columns[keep])), shape)
