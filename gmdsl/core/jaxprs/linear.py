"""Which operations are linear in one operand, and where they put its elements."""

from typing import Any

import numpy as np

from gmdsl.core.jaxprs.primitives import MOVED
from gmdsl.core.jaxprs.tape import Operation

_ALWAYS_LINEAR = {"add", "sub", "add_any", "neg", "reduce_sum", "cumsum"}


def is_linear(step: Operation, moving: list[bool]) -> bool:
    """Whether a step is linear in those operands that depend on the variables, jointly."""
    positions, name = [i for i, moves in enumerate(moving) if moves], step.name
    if name in MOVED:
        return set(positions) <= set(moved_positions(step))
    if not _is_wide(step.equation.outvars[0].aval.dtype):
        return False
    if name in ("mul", "dot_general"):
        return len(positions) == 1
    if name == "div":
        return positions == [0] and np.issubdtype(step.equation.invars[0].aval.dtype, np.floating)
    if name == "convert_element_type":
        return _is_number_kept(step)
    return name in _ALWAYS_LINEAR


def moved_positions(step: Operation) -> tuple[int, ...]:
    """The operands of a step that moves elements, as opposed to those that say where to."""
    return MOVED[step.name](len(step.reads))


def _is_number_kept(step: Operation) -> bool:
    """Whether a conversion leaves numbers as they are (a float made an integer is rounded)."""
    before, after = step.equation.invars[0].aval.dtype, step.equation.outvars[0].aval.dtype
    return np.issubdtype(after, np.floating) or (
        not np.issubdtype(before, np.floating) and after.itemsize >= before.itemsize
    )


def _is_wide(dtype: Any) -> bool:
    """Whether sums in a type are sums of numbers: truth values and small integers wrap."""
    return np.issubdtype(dtype, np.floating) or (np.issubdtype(dtype, np.signedinteger) and dtype.itemsize >= 4)
