"""Convolutions with their axes in the order that XLA's CPU code has a fast routine for, also inside loops.

XLA runs a convolution on a CPU by Eigen's routine if images are (batch, places, channels) and kernels (places, in,
out), and by a plain loop nest if not, 4 to 24 times slower. It brings those of a program into that order itself, but
looks at the outermost computation only (`ConvCanonicalization` in its sources): one inside `scan`, `fori_loop` or
`while_loop`, as the steps of training and of samplers are, stays slow. Here the order is written down: transposes
around the same convolution. Products of patches (`convolutions.py`), which need no routine, lose to it in
training, by 1.5 to 2 times for a batch of 128.

The routine knows no groups. Up to 16 groups of channels are one kernel with zeros outside of its blocks: more products,
but mostly faster than the loop nest, the more so the fewer groups. Up to 32 groups of the batch, which are the
slope in the kernel of the same, are so many convolutions. Groups of one channel (depthwise) are what the loop nest is
best at, and stay.

The slope in the kernel of a transposed convolution slides a large kernel over a small image with zeros between its
places, and the routine multiplies all those zeros. Sliding the image over the kernel is the same sum in reversed order,
without them: 16 to 24 times faster (18.6 and 0.8 ms for 32-16 channels of 8 x 8 at batch 128).
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gmdsl.compiler.rewrites.throughout import rewritten_throughout

PLACES = (1, 2, 3)  # axes of places that the routine knows
TYPES = ("float32", "float16")  # and its types
GROUPS, PARTS = 16, 32  # in one kernel at most, and in convolutions apart


def with_fast_convolutions[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """The same function, to be run inside a loop: on a CPU, every convolution in the order of the fast routine.

    The rule: on a CPU, each convolution of the traced function, at any depth, in floats of 32 or 16 bits, with one to
    three axes of places and few groups. All else stays, and so does every function without convolutions.

    Args:
        function: of pytrees of arrays by place, to one; take derivatives before, not afterwards.
    """
    if jax.default_backend() != "cpu":
        return function
    return rewritten_throughout(function, {"conv_general_dilated": in_fast_order})


def in_fast_order(eqn: Any, given: list[Any]) -> Any:
    """The rule for convolutions (see `gmdsl.compiler.rewrites.rewrite`); None for those that stay as they are."""
    params, (image, kernel) = eqn.params, given
    places, groups, parts = image.ndim - 2, params["feature_group_count"], params["batch_group_count"]
    if places not in PLACES or image.dtype.name not in TYPES or kernel.dtype != image.dtype:
        return None
    old, last = params["dimension_numbers"], (0, places + 1, *range(1, places + 1))
    new = jax.lax.ConvDimensionNumbers(last, (places + 1, places, *range(places)), last)
    alone = groups == parts == 1
    few = (1 < groups <= GROUPS and kernel.shape[old.rhs_spec[1]] > 1) or 1 < parts <= PARTS
    if not (few or alone):
        return None
    settings = {**params, "dimension_numbers": new, "feature_group_count": 1, "batch_group_count": 1}
    image, kernel = (_reordered(array, a, b) for array, a, b in zip(given, old[:2], new[:2], strict=True))
    stretched = _is_stretched(image, kernel, params)
    if alone and old == new and not stretched:
        return None
    convolved = functools.partial(_with_roles_exchanged if stretched else _bound, eqn.primitive, settings)
    if parts > 1:
        pairs = zip(jnp.split(image, parts, axis=0), jnp.split(kernel, parts, axis=-1), strict=True)
        made = jnp.concatenate([convolved(*pair) for pair in pairs], axis=-1)
    else:
        made = convolved(image, _in_blocks(kernel, groups))
    return _reordered(made, last, old.out_spec)


def _is_stretched(image: Any, kernel: Any, params: Any) -> bool:
    """Whether a larger kernel slides over a smaller image with zeros between its places; channels last."""
    whole = all(step == 1 for step in (*params["window_strides"], *params["rhs_dilation"]))
    return whole and max(params["lhs_dilation"]) > 1 and math.prod(kernel.shape[:-2]) > math.prod(image.shape[1:-1])


def _bound(primitive: Any, settings: Any, image: Any, kernel: Any) -> Any:
    return primitive.bind(image, kernel, **settings)


def _with_roles_exchanged(primitive: Any, settings: Any, image: Any, kernel: Any) -> Any:
    """The same convolution with the image as the kernel, its dilation as that of kernels, and the result reversed."""
    places, edges = range(1, image.ndim - 1), []
    each = zip(image.shape[1:-1], kernel.shape[:-2], settings["lhs_dilation"], settings["padding"], strict=True)
    for length, size, gap, (low, high) in each:
        most = (length - 1) * gap + low + high - size + 1  # the last place of the result
        edges.append((most - low, most - high))
    settings = {
        **settings,
        "padding": tuple(edges),
        "lhs_dilation": settings["rhs_dilation"],
        "rhs_dilation": settings["lhs_dilation"],
        "precision": precision[::-1] if isinstance(precision := settings["precision"], tuple) else precision,
    }
    made = primitive.bind(jnp.moveaxis(kernel, -1, 0), jnp.moveaxis(image, 0, -1), **settings)
    return jnp.swapaxes(jnp.flip(made, places), 0, -1)


def _in_blocks(kernel: Any, groups: int) -> Any:
    """The kernel (places, in, out) of all groups at once: what one group has, and zeros for the others."""
    if groups == 1:
        return kernel
    *places, inside, outside = kernel.shape
    own = jnp.eye(groups, dtype=bool)[:, None, :, None]
    parted = kernel.reshape(*places, 1, inside, groups, outside // groups)
    return jnp.where(own, parted, 0).reshape(*places, groups * inside, outside)


def _reordered(array: Any, old: Sequence[int], new: Sequence[int]) -> Any:
    """An array whose axes are where `new` says, not where `old` does; both number the same roles."""
    order = [0] * len(old)
    for source, target in zip(old, new, strict=True):
        order[target] = source
    return jnp.transpose(array, order)
