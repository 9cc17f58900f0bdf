"""Solves with a triangular matrix that is known, as products with its inverse.

A constant covariance is factored once; each evaluation of the log-density then solves with the factor, and its
gradient solves again. On a CPU a solve of 50 unknowns takes four times as long as the product with the inverse,
which is made in double precision: of a constant when the density is traced, of data when a model is compiled.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from gmdsl.core.jaxprs.tape import Operation, Tape, traced
from gmdsl.core.pytrees.function import Constant, Function
from gmdsl.graph.factor_graph import FactorGraph

LARGEST = 256  # unknowns: the inverse becomes part of the program
WORST = 1e-3  # of single precision: condition times rounding error up to which an inverse is as good as a solve


def by_inverse(eqn: Any, given: list[Any]) -> Any:
    """The rule for `triangular_solve` (`gmdsl.compiler.rewrites.rewrite`): a known matrix on the left is inverted."""
    matrix, right = given
    if isinstance(matrix, Tracer) or not _fits(eqn.params, jnp.shape(matrix)):
        return None
    inverse = inverted(np.asarray(matrix, float), eqn.params, right.dtype)
    return None if inverse is None else jnp.asarray(inverse) @ right


def inverted(matrix: np.ndarray, settings: Mapping[str, Any], dtype: Any) -> np.ndarray | None:
    """What a triangular solve multiplies with; None where a product would be worse than the solve.

    Args:
        matrix: the triangular matrix, whose other half counts for nothing.
        settings: parameters of the equation `triangular_solve`.
        dtype: in which the product is to be.
    """
    known = np.tril(matrix) if settings["lower"] else np.triu(matrix)
    if settings["unit_diagonal"]:
        np.fill_diagonal(known, 1.0)
    if not np.isfinite(known).all() or (np.diag(known) == 0.0).any():
        return None
    inverse = np.linalg.inv(known)
    if np.linalg.norm(known) * np.linalg.norm(inverse) * float(jnp.finfo(dtype).eps) > WORST:
        return None
    return np.asarray(inverse.T if settings["transpose_a"] else inverse, dtype)


def fixed_solves(function: Callable[[Array], Array], x: Any) -> tuple[Tape, tuple[Operation, ...]]:
    """The steps of a function of one array, and those of them that solve with a matrix that is free of it."""
    steps = traced(lambda point: function(point["x"]), {"x": x}, fold=False)
    free = (s for s in steps.steps if s.name == "triangular_solve" and s.reads[0] in steps.values)
    return steps, tuple(s for s in free if _fits(s.equation.params, steps.avals[s.reads[0]].shape))


def by_inverses(function: Callable[[Array], Array], inverses: Sequence[Array]) -> Callable[[Array], Array]:
    """The same function, where each of its `fixed_solves` is a product with one of these matrices."""

    def other(x: Array) -> Array:
        steps, solves = fixed_solves(function, x)
        pairs = zip(solves, inverses, strict=True)
        instead = {step.writes: lambda _, right, inverse=inverse: inverse @ right for step, inverse in pairs}
        return steps.run(steps.steps, {steps.inputs["x"]: x}, steps.output, instead)

    return other


def _fits(settings: Mapping[str, Any], shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[0] <= LARGEST and settings["left_side"]


def holds_square(key: Any) -> bool:
    """Whether the fingerprint of a function or a constant names a square matrix, of which it may be the factor."""
    if not isinstance(key, tuple):
        return False
    if len(key) == len(("array", "shape", "dtype", "content")) and key[0] == "array":
        return len(key[1]) == 2 and key[1][0] == key[1][1] > 1
    return any(map(holds_square, key))


def may_solve(model: FactorGraph) -> bool:
    """Whether a model may solve with a known matrix, and runs on a CPU."""
    held = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, Function | Constant))
    nodes = [node for node in held if isinstance(node, Function | Constant)]
    return jax.default_backend() == "cpu" and any(holds_square(node.key) for node in nodes)
