"""Costly operations on constants alone, done while a density is traced.

A covariance that a function closes over, `x=lambda: dist.MultivariateNormal(0.0, S)`, would be factored at each
evaluation: XLA neither folds a factorisation nor moves one of a constant out of a loop, and a call of LAPACK in a
loop keeps XLA from making one function of it. Once the factor is known, solves with it become products, too
(`gmdsl.compiler.rewrites.triangular_solves`).
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Literal
from jaxtyping import Array

from gmdsl.core.jaxprs.dataflow import called
from gmdsl.core.jaxprs.tape import is_known, traced

COSTLY = frozenset({
    "cholesky", "triangular_solve", "eigh", "eig", "lu", "qr", "svd", "schur", "hessenberg", "tridiagonal",
    "tridiagonal_solve", "householder_product", "custom_linear_solve",
})  # fmt: skip


def folded(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The same function of one array; what it computes of constants is computed once where some of it is costly.

    >>> import jax.numpy as jnp
    >>> S = jnp.array([[4.0, 0.0], [0.0, 9.0]])
    >>> function = folded(lambda x: jnp.linalg.cholesky(S)[1, 1] * x)
    >>> float(function(2.0)), "cholesky" in str(jax.make_jaxpr(function)(2.0))
    (6.0, False)
    """

    def other(x: Array) -> Array:
        closed = jax.make_jaxpr(function)(x)
        moving = [not is_known(constant) for constant in closed.consts]
        if not _has_costly(closed.jaxpr, moving, [True]):
            return function(x)
        steps = traced(lambda point: function(point["x"]), {"x": x})
        return steps.run(steps.steps, {steps.inputs["x"]: x}, steps.output)

    return other


def _has_costly(jaxpr: Any, constants: list[bool], arguments: list[bool]) -> bool:
    """Whether a program has a costly operation on known numbers alone, by what of its constants and arguments moves."""
    inputs = zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True)
    moving = {variable for variable, moves in inputs if moves}
    for equation in jaxpr.eqns:
        flags = [not isinstance(atom, Literal) and atom in moving for atom in equation.invars]
        if not any(flags) and equation.primitive.name in COSTLY:
            return True
        inner = called(equation)
        if inner is not None:
            program, held = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
            fits = len(program.invars) == len(flags)
            if fits and _has_costly(program, [not is_known(constant) for constant in held], flags):
                return True
        if any(flags):
            moving.update(equation.outvars)
    return False
