r"""Functions whose derivatives stay finite where a step has an infinite slope: $0 \cdot \infty$ counts as 0.

A branch of a sum that has no mass, as the logarithm of a scale of zero has none, gets the weight zero when the sum is
differentiated, and zero times an infinite slope is NaN. So an infinite slope is taken as zero. Where a result is
finite the slopes of its steps are, but for a vertical tangent at the very point.

Arrays that are constant along an axis are held with one element there (`gmdsl.core.jaxprs.compact`).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from gmdsl.core.jaxprs.compact import compactly_bound, expanded
from gmdsl.core.jaxprs.dataflow import called
from gmdsl.core.jaxprs.primitives import OPAQUE, STEEP
from gmdsl.core.jaxprs.tape import bound


def with_finite_slopes(function: Callable[..., Any], moving: Any, *others: Any) -> Any:
    """The value of a function, with derivatives in which steps that depend on its first argument have finite slopes.

    Args:
        function: of arrays (or dicts of them).
        moving: its first argument, such as labels.
        others: the other arguments.

    >>> zero = lambda z, r: jnp.where(z > 0, 0.0, -jnp.log(z * r))
    >>> slope = jax.grad(lambda r: with_finite_slopes(zero, jnp.array(0.0), r))
    >>> float(jax.grad(lambda r: zero(0.0, r))(2.0)), abs(float(slope(2.0)))
    (nan, 0.0)
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(moving, *others)
    leaves = jax.tree.leaves((moving, *others))
    marks = [i < len(jax.tree.leaves(moving)) for i in range(len(leaves))]
    found, _ = _evaluate(closed, leaves, marks)
    whole = [expanded(value, out.shape) for value, out in zip(found, jax.tree.leaves(shape), strict=True)]
    return jax.tree.unflatten(jax.tree.structure(shape), whole)


def _evaluate(closed: Any, arguments: list[Any], marks: list[bool]) -> tuple[list[Any], list[bool]]:
    """The results of a program, and which of them depend on what is marked."""
    jaxpr, constants = getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())
    have = dict(zip(jaxpr.constvars, ((c, False) for c in constants), strict=True))
    have |= dict(zip(jaxpr.invars, zip(arguments, marks, strict=True), strict=True))

    def read(atom: Any) -> tuple[Any, bool]:
        return (np.asarray(atom.val, atom.aval.dtype), False) if isinstance(atom, Literal) else have[atom]

    for equation in jaxpr.eqns:
        pairs = [read(atom) for atom in equation.invars]
        values, own = [value for value, _ in pairs], [mark for _, mark in pairs]
        inner = None if equation.primitive.name in OPAQUE else called(equation)
        if inner is not None:
            results, after = _evaluate(inner, values, own)
        else:
            steep = any(own) and equation.primitive.name in STEEP
            results = compactly_bound(equation, values, finite_slopes(equation) if steep else None)
            after = [any(own)] * len(results)
        have.update(zip(equation.outvars, zip(results, after, strict=True), strict=True))
    found = [read(atom) for atom in jaxpr.outvars]
    return [value for value, _ in found], [mark for _, mark in found]


def finite_slopes(equation: Any) -> Callable[..., Any]:
    """An elementwise operation with finite slopes, as a function of its operands."""

    @jax.custom_jvp
    def step(*operands: Any) -> Any:
        return bound(equation, list(operands))[0]

    @step.defjvp
    def _(operands: Any, tangents: Any) -> Any:
        value = step(*operands)
        total = jnp.zeros_like(value)
        for i, tangent in enumerate(tangents):
            if not jnp.issubdtype(jnp.result_type(operands[i]), jnp.floating):
                continue

            def alone(operand: Any, i: int = i) -> Any:
                return bound(equation, [*operands[:i], operand, *operands[i + 1 :]])[0]

            _, slope = jax.jvp(alone, (operands[i],), (jnp.ones_like(operands[i]),))
            total = total + jnp.where(jnp.isfinite(slope), slope, 0.0) * tangent
        return value, total

    return step
