r"""A number as a weighted sum of the elements of some arrays, $f(s) = c + \sum_e w_e\, L_e(s)$.

The last steps of a program that are linear are undone, from the result backwards, until arrays are met
that are not; these are the leaves. Their weights are derivatives of the linear part, and free of s.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.jaxprs.linear import is_linear, moved_positions
from gmdsl.core.jaxprs.primitives import MOVED
from gmdsl.core.jaxprs.tape import Operation, Tape, bound
from gmdsl.exact.elimination.terms import Terms


def leaves(program: Tape, terms: dict[int, Terms]) -> tuple[list[Operation], list[int]]:
    """The linear steps next to the result, in order, and the slots of the leaves that they start from.

    >>> from gmdsl.exact.elimination.scopes import scopes
    >>> from gmdsl.core.jaxprs.tape import traced
    >>> found = traced(lambda v: 1.0 - 2.0 * jnp.sum(jnp.exp(v["s"])), {"s": jnp.zeros(2)})
    >>> linear, (leaf,) = leaves(found, scopes(found))
    >>> [step.name for step in linear], found.avals[leaf].shape
    (['reduce_sum', 'mul', 'sub'], (2,))
    """
    if program.output not in terms:
        return [], []
    wanted, linear, slots = {program.output}, [], []
    for step in reversed(program.steps):
        here = [slot for slot in step.writes if slot in wanted]
        if here and is_linear(step, [read in terms for read in step.reads]) and not _from_truth(program, step):
            linear.append(step)
            wanted.update(read for read in step.reads if read in terms)
        else:
            slots += here
    slots += [slot for slot in program.inputs.values() if slot in wanted]
    return linear[::-1], slots


def weighed(program: Tape, linear: list[Operation], slots: list[int]) -> tuple[Float[Array, ""], list[Array]]:
    """The constant, and the weights of the elements of each leaf.

    >>> from gmdsl.exact.elimination.scopes import scopes
    >>> from gmdsl.core.jaxprs.tape import traced
    >>> found = traced(lambda v: 1.0 - 2.0 * jnp.sum(jnp.exp(v["s"])), {"s": jnp.zeros(2)})
    >>> constant, (weight,) = weighed(found, *leaves(found, scopes(found)))
    >>> float(constant), weight.tolist()
    (1.0, [-2.0, -2.0])
    """
    if not slots:
        return jnp.asarray(program.values[program.output]), []
    dtype = program.avals[program.output].dtype
    zeros = [jnp.zeros(program.avals[slot].shape, _float(program.avals[slot].dtype, dtype)) for slot in slots]

    def above(arrays: list[Array]) -> Array:
        have = {**program.values, **dict(zip(slots, arrays, strict=True))}
        for step in linear:
            have.update(zip(step.writes, _in_floats(step, have, dtype), strict=True))
        return have[program.output]

    constant, back = jax.vjp(above, zeros)
    (weights,) = back(jnp.ones((), dtype))
    return constant, weights


def _from_truth(program: Tape, step: Operation) -> bool:
    """Whether a step reads truth values that it would have to read as numbers."""
    slots = (step.writes[0], *(step.reads if step.name == "convert_element_type" else ()))
    return any(program.avals[slot].dtype.kind == "b" for slot in slots)


def _in_floats(step: Operation, have: dict[int, Any], dtype: Any) -> list[Any]:
    """A linear step; one on whole numbers is done on floats."""
    values, equation = [have[read] for read in step.reads], step.equation
    if np.issubdtype(equation.outvars[0].aval.dtype, np.floating):
        return bound(equation, values)
    if step.name == "convert_element_type":
        return values
    moved = moved_positions(step) if step.name in MOVED else range(len(values))
    if "preferred_element_type" in equation.params:
        equation = equation.replace(params={**equation.params, "preferred_element_type": dtype})
    return bound(equation, [jnp.asarray(v, dtype) if i in moved else v for i, v in enumerate(values)])


def _float(own: Any, other: Any) -> Any:
    return own if np.issubdtype(own, np.floating) else other
