"""Convolutions with their axes in the order that XLA's CPU code has a fast routine for, also inside loops.

XLA runs a convolution on a CPU by Eigen's routine if images are (batch, places, channels) and kernels (places, in,
out), and by a plain loop nest if not, 4 to 24 times slower. It brings those of a program into that order itself, but
looks at the outermost computation only (`ConvCanonicalization` in its sources): one inside `scan`, `fori_loop` or
`while_loop`, as the steps of training are, stays slow. Here the order is written down: transposes around the same
convolution. Products of patches (`convolutions.py`), which need no routine, lose to it in
training, by 1.5 to 2 times for a batch of 128; grouped convolutions lose with it, 7 times, and stay as they are.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gmdsl.compiler.rewrites.throughout import rewritten_throughout

PLACES = (1, 2, 3)  # axes of places that the routine knows
TYPES = ("float32", "float16")  # and its types


def with_fast_convolutions[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """The same function, to be run inside a loop: on a CPU, every convolution in the order of the fast routine.

    The rule: on a CPU, each ungrouped convolution of the traced function, at any depth, in floats of 32 or 16 bits
    and with one to three axes of places. All else stays, and so does every function without convolutions.

    Args:
        function: of pytrees of arrays by place, to one; take derivatives before, not afterwards.
    """
    if jax.default_backend() != "cpu":
        return function
    return rewritten_throughout(function, {"conv_general_dilated": in_fast_order})


def in_fast_order(eqn: Any, given: list[Any]) -> Any:
    """The rule for convolutions (see `gmdsl.compiler.rewrites.rewrite`); None for those that stay as they are."""
    params, (image, kernel) = eqn.params, given
    places = image.ndim - 2
    grouped = params["feature_group_count"] != 1 or params["batch_group_count"] != 1
    if grouped or places not in PLACES or image.dtype.name not in TYPES or kernel.dtype != image.dtype:
        return None
    old, last = params["dimension_numbers"], (0, places + 1, *range(1, places + 1))
    new = jax.lax.ConvDimensionNumbers(last, (places + 1, places, *range(places)), last)
    if old == new:
        return None
    moved = (_reordered(array, a, b) for array, a, b in zip(given, old[:2], new[:2], strict=True))
    return _reordered(eqn.primitive.bind(*moved, **{**params, "dimension_numbers": new}), last, old.out_spec)


def _reordered(array: Any, old: Sequence[int], new: Sequence[int]) -> Any:
    """An array whose axes are where `new` says, not where `old` does; both number the same roles."""
    order = [0] * len(old)
    for source, target in zip(old, new, strict=True):
        order[target] = source
    return jnp.transpose(array, order)
