"""Convolutions as matrix products, which XLA's CPU code multiplies at full speed.

On a CPU, XLA runs a small convolution, and above all one that `vmap` and `grad` have turned into a
grouped one, far below the speed of its matrix product: 3 times slower for one chain, 10 times for a
hundred (see docs/performance). A function with convolutions is therefore traced once, and each of
them is replaced by the patches under the kernel (im2col) times the kernel; the derivative follows.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.pytrees.function import Constant, Function
from gmdsl.graph.factor_graph import FactorGraph

AXES = 3  # of a kernel at least: one place, and the channels on both sides
LARGEST = 128  # places of a kernel: patches repeat the input so many times


def has_kernels(model: FactorGraph) -> bool:
    """Whether a model may convolve, and runs on a CPU: it holds arrays of three axes or more.

    Args:
        model: with its arrays, or with anything in their place that has a shape.
    """
    held = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, Function | Constant))
    captured = any(_mentions_kernel(node.key) for node in held if isinstance(node, Function | Constant))
    return jax.default_backend() == "cpu" and (captured or any(getattr(leaf, "ndim", 0) >= AXES for leaf in held))


def _mentions_kernel(key: Any) -> bool:
    """Whether the fingerprint of a function names an array of so many axes."""
    if not isinstance(key, tuple):
        return False
    if len(key) == len(("array", "shape", "dtype", "content")) and key[0] == "array":
        return len(key[1]) >= AXES
    return any(map(_mentions_kernel, key))


def as_product(eqn: Any, given: list[Any]) -> Any:
    """The rule for convolutions (see `gmdsl.compiler.rewrites.rewrite`).

    Grouped ones stay as they are, as do kernels of more than 128 places.
    """
    return _product(*given, **_geometry(eqn)) if _fits(eqn) else None


def _fits(eqn: Any) -> bool:
    kernel, numbers = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"]
    places = 1
    for axis in numbers.rhs_spec[2:]:
        places *= kernel[axis]
    return eqn.params["feature_group_count"] == eqn.params["batch_group_count"] == 1 and 0 < places <= LARGEST


def _geometry(eqn: Any) -> dict[str, Any]:
    names = ("window_strides", "padding", "lhs_dilation", "rhs_dilation", "dimension_numbers")
    return {name: eqn.params[name] for name in names}


def _product(
    image: Array, kernel: Array, *, window_strides: Any, padding: Any, lhs_dilation: Any, rhs_dilation: Any,
    dimension_numbers: Any,
) -> Array:  # fmt: skip
    """Patches times kernel, channels last, so that the product of all chains is one product of two matrices."""
    spec_in, spec_kernel, spec_out = dimension_numbers
    image = jnp.transpose(image, (spec_in[0], *spec_in[2:], spec_in[1]))
    kernel = jnp.transpose(kernel, (*spec_kernel[2:], spec_kernel[1], spec_kernel[0]))
    inside = [(low, high, gap - 1) for (low, high), gap in zip(padding, lhs_dilation, strict=True)]
    edges = [(0, 0, 0), *inside, (0, 0, 0)]
    if any(edge != (0, 0, 0) for edge in edges):
        image = jax.lax.pad(image, jnp.zeros((), image.dtype), edges)
    sizes, spans = kernel.shape[:-2], []
    for length, size, stride, gap in zip(image.shape[1:-1], sizes, window_strides, rhs_dilation, strict=True):
        spans.append(max(0, (length - (size - 1) * gap - 1) // stride + 1))
    patches = []
    for place in itertools.product(*map(range, sizes)):
        first = [at * gap for at, gap in zip(place, rhs_dilation, strict=True)]
        last = [at + (n - 1) * stride + 1 for at, n, stride in zip(first, spans, window_strides, strict=True)]
        patches.append(
            jax.lax.slice(image, (0, *first, 0), (image.shape[0], *last, image.shape[-1]), (1, *window_strides, 1))
        )
    columns = jnp.concatenate(patches, axis=-1).reshape(-1, len(patches) * image.shape[-1])
    made = (columns @ kernel.reshape(-1, kernel.shape[-1])).reshape(image.shape[0], *spans, kernel.shape[-1])
    order = [0] * len(spec_out)
    for at, axis in zip((0, *range(2, len(spec_out)), 1), range(len(spec_out)), strict=True):
        order[spec_out[at]] = axis
    return jnp.transpose(made, order)
