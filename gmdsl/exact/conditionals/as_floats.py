"""Steps of a program done in floating point, where they were written for whole numbers: so they have derivatives.

Only steps that are polynomials are done so (`gmdsl.exact.conditionals.interactions`): sums, products, powers, and those
that move elements. Rounding, and other types, leave whole numbers as they are.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.jaxprs.linear import moved_positions
from gmdsl.core.jaxprs.primitives import MOVED
from gmdsl.core.jaxprs.tape import Operation, Tape, bound

SAME = {"round", "convert_element_type", "copy", "copy_p", "stop_gradient"}


def run_as_floats(
    program: Tape, steps: tuple[Operation, ...], given: Mapping[int, Array], slot: int, dtype: Any
) -> Array:
    """What is in a slot after some steps of a program, all numbers being floats of one type.

    >>> from gmdsl.core.jaxprs.tape import traced
    >>> found = traced(lambda v: jnp.round(v["x"]).astype(int) ** 2, {"x": jnp.zeros(())})
    >>> inside = {found.inputs["x"]: jnp.asarray(1.5)}
    >>> float(run_as_floats(found, found.steps, inside, found.output, jnp.float32))
    2.25
    """
    have = dict(given)
    for step in steps:
        operands = [have[read] if read in have else program.values[read] for read in step.reads]
        have.update(zip(step.writes, _done(step, operands, dtype), strict=True))
    return jnp.asarray(have[slot] if slot in have else program.values[slot], dtype)


def _done(step: Operation, operands: list[Any], dtype: Any) -> list[Any]:
    equation, name = step.equation, step.name
    if name in SAME:
        return [jnp.asarray(operands[0], dtype)]
    floats = range(len(operands))
    if name in MOVED:
        floats = moved_positions(step)
    elif name == "scatter":
        floats = (0, 2)
    elif name == "select_n":
        floats = range(1, len(operands))
    operands = [jnp.asarray(operand, dtype) if i in floats else operand for i, operand in enumerate(operands)]
    if equation.params.get("preferred_element_type") is not None:
        equation = equation.replace(params={**equation.params, "preferred_element_type": jnp.dtype(dtype)})
    return bound(equation, operands)
