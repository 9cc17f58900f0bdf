"""What is computed of a model's data alone when it is compiled, matrices that are solved with included.

A covariance of data is factored once, but each evaluation of the log-density would solve with its factor. The factors
are found by a trace, inverted in double precision and multiplied with, unless one of them is so badly conditioned that
the solution would be worse.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.program import Hoisted, Leaves, Program
from gmdsl.compiler.rewrites.triangular_solves import LARGEST, inverted
from gmdsl.core.jaxprs.tape import is_known


def hoisted_of(program: Program, leaves: Leaves) -> Hoisted:
    """What the densities and samplers of a model are given beside its arrays.

    Args:
        program: the static half of the model.
        leaves: its arrays; traced ones are not inverted.
    """
    hoisted = program.jit_hoist(leaves) if program.hoists else Hoisted({})
    arrays = jax.tree.leaves((leaves, hoisted))
    if jax.default_backend() != "cpu" or not any(map(_is_square, arrays)) or not all(map(is_known, arrays)):
        return hoisted
    if program.solves_of_data is None:
        program.solves_of_data = _solves(program, leaves, hoisted)
    if not program.solves_of_data:
        return hoisted
    factors = program.jit_factors(leaves, hoisted)
    if not all(map(is_known, factors)):  # inside of a trace
        return hoisted
    pairs = zip(factors, program.solves_of_data, strict=True)
    inverses = [inverted(np.asarray(factor, float), settings, factor.dtype) for factor, settings in pairs]
    if any(inverse is None for inverse in inverses):
        return hoisted
    return hoisted._replace(inverses=[jnp.asarray(inverse) for inverse in inverses])


def _solves(program: Program, leaves: Leaves, hoisted: Hoisted) -> tuple[Any, ...]:
    """The parameters of the solves of a program with matrices that are free of the position."""
    found: list[Any] = []

    def look(leaves: Leaves, hoisted: Hoisted) -> None:
        found.extend(step.equation.params for step in program.fixed_solves(leaves, hoisted)[1])

    jax.eval_shape(look, leaves, hoisted)
    return tuple(found)


def _is_square(array: Any) -> bool:
    return array.ndim == 2 and 1 < len(array) == array.shape[1] <= LARGEST and jnp.issubdtype(array.dtype, jnp.floating)
