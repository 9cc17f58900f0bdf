r"""Parts of a program that do the same with other numbers, run as one.

A chain declared variable by variable has as many terms as variables, but the same steps in each. Such
parts are found by comparing their steps and are evaluated together, with the numbers that differ side by
side, so that what is compiled does not grow with the chain.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.core.jaxprs.finite_slopes import finite_slopes
from gmdsl.core.jaxprs.primitives import STEEP
from gmdsl.core.jaxprs.tape import Operation, Tape
from gmdsl.spaces.space import Space

AT_ONCE = 2**23  # numbers in memory at a time


class Part(NamedTuple):
    """One slot of a program and what leads to it.

    Attributes:
        slot: the result.
        steps: the steps that lead there.
        inputs: names of the variables that are read, in the order of reading.
        outside: slots of the numbers that are read.
    """

    slot: int
    steps: tuple[Operation, ...]
    inputs: tuple[str, ...]
    outside: tuple[int, ...]


class RepeatedPart(NamedTuple):
    """Parts with the same steps.

    Attributes:
        members: the parts, by their number in the list that was given.
        parts: the parts themselves.
    """

    members: list[int]
    parts: list[Part]


def repeated_parts(program: Tape, slots: Sequence[int], spaces: Mapping[str, Space]) -> list[RepeatedPart]:
    """The slots of a program, those with the same steps together.

    >>> from gmdsl.core.jaxprs.tape import traced
    >>> from gmdsl.spaces.discrete import Spin
    >>> pair = traced(lambda v: jnp.exp(0.5 * v["a"]) + jnp.exp(0.2 * v["b"]), {"a": jnp.zeros(()), "b": jnp.zeros(())})
    >>> exponentials = [step.writes[0] for step in pair.steps if step.name == "exp"]
    >>> [part.members for part in repeated_parts(pair, exponentials, {"a": Spin(), "b": Spin()})]
    [[0, 1]]
    """
    found: dict[Any, RepeatedPart] = {}
    names = {slot: name for name, slot in program.inputs.items()}
    for number, slot in enumerate(slots):
        part, key = _part(program, slot, names, spaces)
        family = found.setdefault(key, RepeatedPart([], []))
        family.members.append(number)
        family.parts.append(part)
    return list(found.values())


def runner(
    program: Tape, family: RepeatedPart, spaces: Mapping[str, Space], dtype: Any
) -> Callable[[Array, Array, Array], Array]:
    """A function that evaluates parts of a family at states of their variables.

    Returns:
        A function of states (state, colour), colours (row, element) and members (row,), to an array
        (row, state, element of the result): in a row, each element of the variables has the number of
        its colour.
    """
    first = family.parts[0]
    outside = [
        _side_by_side([program.values[part.outside[i]] for part in family.parts]) for i in range(len(first.outside))
    ]
    size = sum(math.prod(program.avals[slot].shape) for step in first.steps for slot in step.writes) + 1

    gentle = {step.writes: finite_slopes(step.equation) for step in first.steps if step.name in STEEP}

    def one(numbers: Array, member: Array) -> Array:
        given = {s: v[member] if apart else v for s, (v, apart) in zip(first.outside, outside, strict=True)}
        start = 0
        for name in first.inputs:
            space, slot, stop = spaces[name], program.inputs[name], start + math.prod(spaces[name].shape)
            own = numbers[start:stop].reshape(space.shape)
            given[slot] = (space.first + space.gap * own).astype(program.avals[slot].dtype)
            start = stop
        return program.run(first.steps, given, first.slot, gentle).astype(dtype).reshape(-1)

    def run(states: Array, colours: Array, members: Array) -> Array:
        count, pairs = len(states), len(states) * len(colours)

        def at(index: Array) -> Array:
            row = index // count
            return one(states[index % count][colours[row]], members[row])

        if pairs * size <= AT_ONCE:
            found = jax.vmap(at)(jnp.arange(pairs))
        else:
            found = jax.lax.map(at, jnp.arange(pairs), batch_size=max(AT_ONCE // size, 1))
        return found.reshape(len(colours), count, -1)

    return run


def _part(program: Tape, slot: int, names: Mapping[int, str], spaces: Mapping[str, Space]) -> tuple[Part, Any]:
    """The part of a slot, and what two parts have in common that do the same."""
    steps = program.needed(slot)
    labels: dict[int, int] = {}
    inputs, outside, key = [], [], []
    for step in steps:
        for read in step.reads:
            if read in labels:
                continue
            labels[read] = len(labels)
            aval = program.avals[read]
            if read in names:
                inputs.append(names[read])
                key.append((_values(spaces[names[read]]), aval.shape))
            else:
                outside.append(read)
                key.append((aval.shape, aval.dtype))
        for write in step.writes:
            labels[write] = len(labels)
        params = tuple((name, _comparable(value)) for name, value in sorted(step.equation.params.items()))
        key.append((step.equation.primitive, params, tuple(labels[read] for read in step.reads)))
    if not steps:  # the slot is a variable itself
        inputs, key = [names[slot]], [(_values(spaces[names[slot]]), program.avals[slot].shape)]
    return Part(slot, steps, tuple(inputs), tuple(outside)), (tuple(key), labels.get(slot))


def _values(space: Space) -> tuple[int, int]:
    return space.first, space.gap


def _comparable(value: Any) -> Any:
    """What stands for a parameter of an equation in comparisons."""
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value


def _side_by_side(values: list[Any]) -> tuple[Any, bool]:
    """The value that all share, or their values along a first axis."""
    if all(value is values[0] for value in values):
        return values[0], False
    if all(isinstance(value, np.ndarray) and np.array_equal(value, values[0]) for value in values):
        return values[0], False
    return jnp.stack([jnp.asarray(value) for value in values]), True
