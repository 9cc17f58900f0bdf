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

A slope in a kernel is a sum over the batch, of patches that are each as large as an image. It is taken in pieces of the
batch that fit a cache: 2 to 3 times faster (23 and 12 ms for 16-16 channels of 28 x 28 at batch 128).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.rewrites.throughout import rewritten_throughout

PLACES = (1, 2, 3)  # axes of places that the routine knows
TYPES = ("float32", "float16")  # and its types
GROUPS, PARTS = 16, 32  # in one kernel at most, and in convolutions apart
PIECE = 5 * 2**18  # bytes of images and slopes that are summed over at a time


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
    order = _Order(eqn.primitive, params, old, new)
    if parts > 1:
        image, kernel = order.image(image), order.kernel(kernel)
        pairs = zip(jnp.split(image, parts, axis=0), jnp.split(kernel, parts, axis=-1), strict=True)
        made = jnp.concatenate([order.convolved(*pair) for pair in pairs], axis=-1)
    elif groups > 1:
        made = order.convolved(order.image(image), _in_blocks(order.kernel(kernel), groups))
    elif (count := _pieces(eqn, image, kernel)) > 1:
        made = order.in_pieces(image, kernel, count)
    elif old == new and not order.is_stretched(image, kernel):
        return None
    else:
        made = order.convolved(order.image(image), order.kernel(kernel))
    return _reordered(made, last, old.out_spec)


def _pieces(eqn: Any, image: Any, kernel: Any) -> int:
    """In how many pieces a sum over the batch is taken: one unless large kernels make a small result."""
    numbers, made = eqn.params["dimension_numbers"], eqn.outvars[0].aval
    slid = math.prod(kernel.shape[axis] for axis in numbers.rhs_spec[2:])
    places = math.prod(made.shape[axis] for axis in numbers.out_spec[2:])
    size = image.nbytes + kernel.nbytes if slid > places else 0
    return min(-(-size // PIECE), image.shape[numbers.lhs_spec[1]]) if size >= 2 * PIECE else 1


class _Order:
    """A convolution in the order of the fast routine.

    Args:
        primitive: of the equation.
        params: of the equation.
        old: its order of axes.
        new: that of the routine.
    """

    def __init__(self, primitive: Any, params: Any, old: Any, new: Any):
        self.primitive, self.old, self.new = primitive, old, new
        alone: dict[str, Any] = {"dimension_numbers": new, "feature_group_count": 1, "batch_group_count": 1}
        self.settings: dict[str, Any] = {**params, **alone}

    def image(self, array: Any) -> Any:
        """The image in the new order."""
        return _reordered(array, self.old.lhs_spec, self.new.lhs_spec)

    def kernel(self, array: Any) -> Any:
        """The kernel in the new order."""
        return _reordered(array, self.old.rhs_spec, self.new.rhs_spec)

    def is_stretched(self, image: Any, kernel: Any) -> bool:
        """Whether a larger kernel slides over a smaller image with zeros between its places; channels last."""
        steps = (*self.settings["window_strides"], *self.settings["rhs_dilation"])
        larger = math.prod(kernel.shape[:-2]) > math.prod(image.shape[1:-1])
        return all(step == 1 for step in steps) and max(self.settings["lhs_dilation"]) > 1 and larger

    def convolved(self, image: Any, kernel: Any) -> Any:
        """The convolution of arrays in the new order."""
        if self.is_stretched(image, kernel):
            return self.with_roles_exchanged(image, kernel)
        return self.primitive.bind(image, kernel, **self.settings)

    def in_pieces(self, image: Any, kernel: Any, count: int) -> Any:
        """The convolution of arrays in the old order, as a sum over pieces of the channels that it sums over."""
        # What is summed over comes first and is cut; what XLA already has in this order is not moved.
        image, kernel = jnp.moveaxis(self.image(image), -1, 0), jnp.moveaxis(self.kernel(kernel), -2, 0)
        image = jnp.moveaxis(image, 1, -1)  # (summed, places, batch), as the kernel is (summed, places, out)
        total = len(image)
        size = -(-total // count)
        rest = total % size

        def piece(start: Any, size: int) -> Any:
            one, other = (jax.lax.dynamic_slice_in_dim(array, start, size) for array in (image, kernel))
            return self.convolved(jnp.moveaxis(jnp.moveaxis(one, 0, -1), -2, 0), jnp.moveaxis(other, 0, -2))

        first = piece(total - rest, rest) if rest else piece(0, size)
        add = lambda i, made: made + piece(i * size, size)  # noqa: E731
        return jax.lax.fori_loop(np.int32(0 if rest else 1), np.int32(total // size), add, first)

    def with_roles_exchanged(self, image: Any, kernel: Any) -> Any:
        """The same with the image as the kernel, its dilation as that of kernels, and the result reversed."""
        settings, places, edges = self.settings, range(1, image.ndim - 1), []
        each = zip(image.shape[1:-1], kernel.shape[:-2], settings["lhs_dilation"], settings["padding"], strict=True)
        for length, size, gap, (low, high) in each:
            most = (length - 1) * gap + low + high - size + 1  # the last place of the result
            edges.append((most - low, most - high))
        precision = settings["precision"]
        exchanged = {
            "padding": tuple(edges),
            "lhs_dilation": settings["rhs_dilation"],
            "rhs_dilation": settings["lhs_dilation"],
            "precision": precision[::-1] if isinstance(precision, tuple) else precision,
        }
        image, kernel = jnp.moveaxis(image, 0, -1), jnp.moveaxis(kernel, -1, 0)
        return jnp.swapaxes(jnp.flip(self.primitive.bind(kernel, image, **{**settings, **exchanged}), places), 0, -1)


def _in_blocks(kernel: Any, groups: int) -> Any:
    """The kernel (places, in, out) of all groups at once: what one group has, and zeros for the others."""
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
