"""Solves with a triangular matrix that is known, as products with its inverse.

A constant covariance is factored once; each evaluation of the log-density then solves with the factor, and its
gradient solves again. On a CPU a solve of 50 unknowns takes four times as long as the product with the inverse,
which is made here when the density is traced, in double precision.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gmdsl.core.function import Constant, Function

LARGEST = 256  # unknowns: the inverse becomes part of the program
WORST = 1e-3  # of single precision: condition times rounding error up to which an inverse is as good as a solve


def by_inverse(eqn: Any, given: list[Any]) -> Any:
    """The rule for `triangular_solve` (see `gmdsl.compiler.rewrite`): a known matrix on the left is inverted."""
    matrix, right = given
    settings = eqn.params
    if isinstance(matrix, Tracer) or jnp.ndim(matrix) != 2 or len(matrix) > LARGEST or not settings["left_side"]:
        return None
    whole = np.asarray(matrix, float)
    known = np.tril(whole) if settings["lower"] else np.triu(whole)
    if settings["unit_diagonal"]:
        np.fill_diagonal(known, 1.0)
    if not np.isfinite(known).all() or (np.diag(known) == 0.0).any():
        return None
    inverse = np.linalg.inv(known)
    if np.linalg.norm(known) * np.linalg.norm(inverse) * float(jnp.finfo(right.dtype).eps) > WORST:
        return None
    return jnp.asarray(inverse.T if settings["transpose_a"] else inverse, right.dtype) @ right


def holds_square(key: Any) -> bool:
    """Whether the fingerprint of a function or a constant names a square matrix, of which it may be the factor."""
    if not isinstance(key, tuple):
        return False
    if len(key) == len(("array", "shape", "dtype", "content")) and key[0] == "array":
        return len(key[1]) == 2 and key[1][0] == key[1][1] > 1
    return any(map(holds_square, key))


def may_solve(model: Any) -> bool:
    """Whether a model may solve with a known matrix, and runs on a CPU."""
    held = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, Function | Constant))
    nodes = [node for node in held if isinstance(node, Function | Constant)]
    return jax.default_backend() == "cpu" and any(holds_square(node.key) for node in nodes)
