r"""Full conditionals of all variables of one colour at once, from the terms of a density that contain them.

$\log p(x) = \sum_m w_m t_m(x_{c_m})$: the terms are what the traced program adds up at its end. Variables are coloured
so that no term contains two of one colour C. All of C are moved to their k-th values together, the terms are evaluated
once, and each term belongs to one variable at most:

$$\log p(x_i = k \mid x_{-i}) = \sum_{m \ni i} w_m\, t_m(x_{-C}, x_C = k) + \mathrm{const}.$$

A sweep so takes as many evaluations as there are colours times values, instead of variables times values. A term that
reads everything (a function of a sum over all of them) leaves one variable to each colour.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse import csc_array, csr_array, vstack

from gmdsl.core.jaxprs.linear import is_linear
from gmdsl.core.jaxprs.tape import Operation, Tape, bound, is_known
from gmdsl.exact.conditionals.as_floats import run_as_floats
from gmdsl.exact.conditionals.colouring import colouring
from gmdsl.exact.conditionals.dependence import TooManyError, product
from gmdsl.exact.conditionals.interactions import Interactions

MOST_PLACES = 2**24  # numbers in the tables that say which terms a variable is in


class LocalTerms(NamedTuple):
    """How the terms of a program are found and whose they are.

    Attributes:
        program: of one variable, a vector.
        slots: where the terms are.
        steps: those that lead to them.
        tail: the steps after them, which add them up.
        colours: the variables of each colour.
        places: for each colour the terms of its variables, (variable, place); one past the last term stands for none.
    """

    program: Tape
    slots: tuple[int, ...]
    steps: tuple[Operation, ...]
    tail: tuple[Operation, ...]
    colours: list[np.ndarray]
    places: list[np.ndarray]

    @property
    def size(self) -> int:
        """How many terms there are."""
        return sum(math.prod(self.program.avals[slot].shape) for slot in self.slots)

    def weights(self, dtype: Any) -> Float[Array, " terms"]:
        """How often each term counts."""
        shapes = [self.program.avals[slot].shape for slot in self.slots]

        def add(*terms: Array) -> Array:
            given = dict(zip(self.slots, terms, strict=True))
            return run_as_floats(self.program, self.tail, given, self.program.output, dtype)

        _, pull = jax.vjp(add, *(jnp.zeros(shape, dtype) for shape in shapes))
        return jnp.concatenate([jnp.ravel(weight) for weight in pull(jnp.ones((), dtype))])

    def terms(self, x: Float[Array, " dim"], weights: Float[Array, " terms"]) -> Float[Array, " terms"]:
        """The terms at one point, times their weights."""
        have = {**self.program.values, next(iter(self.program.inputs.values())): x}
        for step in self.steps:
            have.update(zip(step.writes, bound(step.equation, [have[read] for read in step.reads]), strict=True))
        found = jnp.concatenate([jnp.ravel(jnp.asarray(have[slot], x.dtype)) for slot in self.slots])
        return jnp.where(weights == 0, 0, weights * found)  # a term that is left out may be infinite


def local_terms(program: Tape, found: Interactions | None) -> LocalTerms:
    """The terms that a program adds up, and colours of its variables so that no term has two of one colour.

    Args:
        program: of one variable, a vector, to a float.
        found: on what its arrays depend; None where that was too much: then the density is one term.
    """
    (vector,) = program.inputs.values()
    count = program.avals[vector].shape[0]
    slots, tail = _summands(program)
    if found is not None and slots:
        rows = csr_array(vstack([found.dependences[slot].rows for slot in slots]))
        try:
            colours = colouring(csr_array(product(csr_array(rows.T), rows)))
        except TooManyError:
            colours = [np.array([i]) for i in range(count)]
        columns = csc_array(rows)
        largest = max(len(group) for group in colours), int(np.diff(columns.indptr).max(initial=0))
        if len(colours) * math.prod(largest) <= MOST_PLACES:
            steps = _leading(program, slots)
            places = [_places(columns, group, rows.shape[0]) for group in colours]
            return LocalTerms(program, slots, steps, tail, colours, places)
    alone = [np.array([i]) for i in range(count)]
    whole = program.needed(program.output)
    return LocalTerms(program, (program.output,), whole, (), alone, [np.zeros((1, 1), int)] * count)


def _summands(program: Tape) -> tuple[tuple[int, ...], tuple[Operation, ...]]:
    """The slots that a program is linear in from there on, and the steps that follow."""
    (vector,) = program.inputs.values()
    moving = {vector, *(slot for step in program.steps for slot in step.writes)}
    wanted, slots, tail = {program.output}, [], []
    for step in reversed(program.steps):
        if not wanted & set(step.writes):
            continue
        guarded = _guarded(program, step)
        if guarded is not None:  # NaN for -inf leaves a sum of numbers as it is
            kept, test = guarded
            tail += [step, test]
            wanted.add(kept)
        elif is_linear(step, [read in moving for read in step.reads]):
            tail.append(step)
            wanted |= {read for read in step.reads if read in moving}
        else:
            slots += [slot for slot in step.writes if slot in wanted]
    return tuple([vector] * (vector in wanted) + slots[::-1]), tuple(tail[::-1])


def _guarded(program: Tape, step: Operation) -> tuple[int, Operation] | None:
    """What a step replaces by a constant where it is no number, or infinite anyway, and the test of that; else None.

    `where(isnan(a), c, a)` leaves the number a as it is, and so does `where(a == -inf, -inf, a - b)` the number a - b.
    """
    if step.name != "select_n" or len(step.reads) != 3:
        return None
    asked, kept, instead = step.reads
    test, made = (next((one for one in program.steps if slot in one.writes), None) for slot in (asked, kept))
    if test is None or instead not in program.values:
        return None
    if test.name == "ne" and test.reads == (kept, kept):
        return kept, test
    if test.name != "eq" or made is None or made.name != "sub" or test.reads[0] != made.reads[0]:
        return None
    levels = [program.values.get(slot) for slot in (test.reads[1], instead)]
    lowest = all(is_known(level) and np.all(np.asarray(level) == -np.inf) for level in levels)
    return (kept, test) if lowest else None


def _leading(program: Tape, slots: tuple[int, ...]) -> tuple[Operation, ...]:
    """The steps that lead to some slots."""
    wanted, found = set(slots), []
    for step in reversed(program.steps):
        if wanted & set(step.writes):
            found.append(step)
            wanted |= set(step.reads)
    return tuple(found[::-1])


def _places(columns: csc_array, group: np.ndarray, nowhere: int) -> np.ndarray:
    """The terms of some variables, filled up to the most that one of them has."""
    counts = np.diff(columns.indptr)[group]
    found = np.full((len(group), max(int(counts.max(initial=0)), 1)), nowhere)
    for row, i in enumerate(group):
        found[row, : counts[row]] = columns.indices[columns.indptr[i] : columns.indptr[i + 1]]
    return found
