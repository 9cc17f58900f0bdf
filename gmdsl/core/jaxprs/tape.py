r"""A function of some variables as a flat list of steps, of which any part can be run.

The function is traced at a point, calls are written out in line, and the steps are sorted by what they
read: those free of the variables are run once, the others as often as one likes.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jax.extend.core import Literal

from gmdsl.core.jaxprs.dataflow import called
from gmdsl.core.jaxprs.primitives import OPAQUE


class Operation(NamedTuple):
    """One operation: its equation, and the slots that it reads and writes."""

    equation: Any
    reads: tuple[int, ...]
    writes: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.equation.primitive.name


class Tape(NamedTuple):
    """A traced function of one dict.

    Attributes:
        steps: every operation that depends on the variables (with `keep` every one), in order.
        values: what does not depend on them, by slot.
        inputs: the slot of each variable.
        output: the slot of the (only) result.
        avals: shape and dtype of what is in each slot.
        calls: the functions that were called by name, with the slots that they read and write.
    """

    steps: tuple[Operation, ...]
    values: dict[int, Any]
    inputs: dict[str, int]
    output: int
    avals: dict[int, Any]
    calls: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()

    def needed(self, slot: int, cut: frozenset[int] = frozenset()) -> tuple[Operation, ...]:
        """The steps that lead to a slot, in order; those that lead to slots of `cut` only are left out."""
        wanted, found = {slot}, []
        for step in reversed(self.steps):
            if any(out in wanted and out not in cut for out in step.writes):
                found.append(step)
                wanted.update(step.reads)
        return tuple(reversed(found))

    def run(self, steps: tuple[Operation, ...], given: Mapping[int, Any], slot: int, instead: Any = None) -> Any:
        """What is in a slot after some steps; `instead` has functions of the operands for steps done in another way."""
        have, instead = {**self.values, **given}, instead or {}
        for step in steps:
            operands = [have[read] for read in step.reads]
            other = instead.get(step.writes)
            results = bound(step.equation, operands) if other is None else [other(*operands)]
            have.update(zip(step.writes, results, strict=True))
        return have[slot]


def traced(
    function: Callable[[dict[str, Any]], Any],
    point: Mapping[str, Any],
    fold: bool = True,
    keep: bool = False,
    most: float = math.inf,
    opaque: bool = True,
) -> Tape:
    """The steps of a function; what does not depend on its argument is computed at once.

    Args:
        function: from a dict of arrays to one array.
        point: arrays or shapes.
        fold: whether what is known is computed now, by a program of its own; else it becomes part of the program that
            is being traced.
        keep: whether what is known is not computed at all: every operation is a step.
        most: how many numbers one array may have.
        opaque: whether functions with a derivative of their own stay one step; else they are written out like others,
            for those who take no derivatives.

    Raises:
        TooLargeError: an array has more.

    >>> import jax.numpy as jnp
    >>> found = traced(lambda v: jnp.exp(2.0) * v["x"] + 1.0, {"x": jnp.zeros(3)})
    >>> [step.name for step in found.steps]
    ['mul', 'add']
    """
    names = list(point)
    closed = jax.make_jaxpr(lambda *arrays: function(dict(zip(names, arrays, strict=True))))(*point.values())
    if (largest := _largest(closed)) > most:
        raise TooLargeError(f"the terms have an array of {largest} numbers, more than {most}")
    builder = _Builder(fold, keep, OPAQUE if opaque else set())
    slots = [builder.slot(variable.aval) for variable in closed.jaxpr.invars]
    builder.moving.update(slots)
    (output,) = builder.inline(closed, slots)
    builder.settle()
    inputs = dict(zip(names, slots, strict=True))
    return Tape(tuple(builder.steps), builder.values, inputs, output, builder.avals, tuple(builder.calls))


class TooLargeError(Exception):
    """A program has arrays that are too large to be computed while it is looked at."""


def _largest(closed: Any) -> int:
    """How many numbers the largest array has that a program computes."""
    jaxpr = getattr(closed, "jaxpr", closed)
    own = (math.prod(out.aval.shape) for equation in jaxpr.eqns for out in equation.outvars)
    inner = (_largest(found) for equation in jaxpr.eqns if (found := called(equation)) is not None)
    return max((*own, *inner), default=0)


def bound(equation: Any, values: list[Any]) -> list[Any]:
    """The results of an equation at other operands."""
    params = equation.primitive.get_bind_params(equation.params)
    functions, params = params if isinstance(params, tuple) else ((), params)  # JAX before 0.11 gives both
    found = equation.primitive.bind(*functions, *values, **params)
    return list(found) if equation.primitive.multiple_results else [found]


def is_known(value: Any) -> bool:
    """Whether a value is a number now, and not only when the program runs."""
    return value is not None and not isinstance(value, Tracer)


class _Builder:
    """Slots are numbered as they appear."""

    def __init__(self, fold: bool, keep: bool, opaque: set[str]) -> None:
        self.fold = fold
        self.opaque = opaque
        self.keep = keep
        self.steps: list[Operation] = []
        self.values: dict[int, Any] = {}
        self.waiting: list[Operation] = []
        self.foretold: set[int] = set()  # slots that the steps that wait write
        self.moving: set[int] = set()
        self.avals: dict[int, Any] = {}
        self.calls: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []

    def slot(self, aval: Any) -> int:
        self.avals[len(self.avals)] = aval
        return len(self.avals) - 1

    def constant(self, aval: Any, value: Any) -> int:
        slot = self.slot(aval)
        self.values[slot] = value
        return slot

    def inline(self, closed: Any, arguments: list[int]) -> list[int]:
        """Adds the equations of a program; returns the slots of its results."""
        jaxpr, constants = getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())
        where = dict(zip(jaxpr.invars, arguments, strict=True))
        where |= {v: self.constant(v.aval, c) for v, c in zip(jaxpr.constvars, constants, strict=True)}

        def read(atom: Any) -> int:
            if isinstance(atom, Literal):
                return self.constant(atom.aval, np.asarray(atom.val, atom.aval.dtype))
            return where[atom]

        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            inner = None if equation.primitive.name in self.opaque else called(equation)
            results = self.step(equation, operands) if inner is None else self.inline(inner, operands)
            if inner is not None:
                self.calls.append((equation.params.get("name", ""), tuple(operands), tuple(results)))
            where.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def step(self, equation: Any, operands: list[int]) -> list[int]:
        results = [self.slot(variable.aval) for variable in equation.outvars]
        if self.keep or self.moving & set(operands):
            self.moving.update(results)
            self.steps.append(Operation(equation, tuple(operands), tuple(results)))
            return results
        if self.fold and all(operand in self.foretold or is_known(self.values[operand]) for operand in operands):
            self.waiting.append(Operation(equation, tuple(operands), tuple(results)))
            self.foretold.update(results)
            return results
        self.settle()
        found = bound(equation, [self.values[operand] for operand in operands])
        self.values.update(zip(results, found, strict=True))
        return results

    def settle(self) -> None:
        """Runs the steps of which all is known, in one program, which is compiled sooner than one for each of them."""
        waiting, self.waiting, self.foretold = self.waiting, [], set()
        slots = [slot for step in waiting for slot in step.writes]

        def run(have: dict[int, Any]) -> list[Any]:
            have = dict(have)
            for step in waiting:
                have.update(zip(step.writes, bound(step.equation, [have[read] for read in step.reads]), strict=True))
            return [have[slot] for slot in slots]

        if waiting:
            read = {slot for step in waiting for slot in step.reads} - set(slots)
            with jax.ensure_compile_time_eval():
                found = jax.jit(run)({slot: self.values[slot] for slot in read})
            self.values.update(zip(slots, found, strict=True))
