r"""The logarithm of $\int_0^\infty e^{g(w)}\, dw$ for a concave, falling g with g(0) = 0.

Up to the length L with $g(L) = -T$, at which nothing is left at the precision of the numbers, by Gauss and Legendre's
rule. Between an exponential and half a Gaussian, such a function has few features: some twenty points are enough.

Reference:
    Hale, Townsend, *Fast and accurate computation of Gauss-Legendre quadrature nodes*, SIAM J. Sci. Comput., 2013.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


def floats(*values: Any) -> list[Array]:
    """Values as floating-point arrays of one shape and precision."""
    dtype = jnp.result_type(*values, 1.0)
    return list(jnp.broadcast_arrays(*(jnp.asarray(value, dtype) for value in values)))


def decay(dtype: Any) -> float:
    """T: how far g falls before the rest is below the precision."""
    return 20.0 if dtype == jnp.float32 else 40.0


def log_integral(g: Callable[[Array], Array], length: Array) -> Array:
    """The logarithm of the integral of exp(g) from 0 to a length.

    Args:
        g: log-integrand of points with one more axis, the last.
        length: where g has fallen by `decay`, or somewhat beyond; no gradient is taken through it.
    """
    length = jax.lax.stop_gradient(length)
    nodes, weights = _rule(24 if length.dtype == jnp.float32 else 40)
    inside = jnp.exp(g(length[..., None] * nodes.astype(length.dtype)))
    return jnp.log(length) + jnp.log(jnp.sum(inside * weights.astype(length.dtype), axis=-1))


def reach(slope: Array, curvature: Array) -> Array:
    r"""A length beyond which $s w + c w^2 / (2 + w)$ exceeds `decay`: the positive root of a quadratic equation.

    Args:
        slope: s, not negative.
        curvature: c, not negative.
    """
    most = decay(slope.dtype)
    leading = jnp.maximum(slope + curvature, jnp.finfo(slope.dtype).tiny)
    middle = 2.0 * slope - most
    root = jnp.sqrt(middle**2 + 8.0 * most * leading)
    return jnp.where(middle > 0, 4.0 * most / (middle + root), (root - middle) / (2.0 * leading))


@functools.cache
def _rule(count: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return 0.5 * (nodes + 1.0), 0.5 * weights
