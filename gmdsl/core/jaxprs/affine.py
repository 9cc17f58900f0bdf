r"""Whether a function is affine, $f(z) = A z + b$, proved from its traced program."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from gmdsl.core.jaxprs.dataflow import CONSTANT, UNKNOWN, output_states
from gmdsl.core.jaxprs.primitives import BILINEAR, LINEAR, LINEAR_IN

AFFINE = "affine"


def affinity(function: Callable[[Any], Any], z: Any) -> Any:
    """For each output `CONSTANT` or `AFFINE` in z where that is proved, else `UNKNOWN`.

    >>> affinity(lambda z: (2.0 * z + 1.0, z * z, jnp.ones(3), jnp.sign(z)), jnp.zeros(3))
    ('affine', 'unknown', 'constant', 'unknown')
    """
    return output_states(function, [z], [AFFINE], _rule)


def _rule(equation: Any, states: list[Any]) -> str:
    name = equation.primitive.name
    moving = [index for index, state in enumerate(states) if state != CONSTANT]
    if name == "convert_element_type":
        floats = [jnp.issubdtype(v.aval.dtype, jnp.floating) for v in (*equation.invars, *equation.outvars)]
        return AFFINE if all(floats) else UNKNOWN
    if name in LINEAR or (name in BILINEAR and len(moving) == 1):
        return AFFINE
    if name == "select_n":
        return UNKNOWN if 0 in moving else AFFINE
    return AFFINE if set(moving) <= LINEAR_IN.get(name, set()) else UNKNOWN
