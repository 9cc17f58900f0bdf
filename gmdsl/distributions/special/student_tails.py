r"""The tails of Student's t, $\log F(z)$ and $\log(1 - F(z))$, by their integral in $t = \sqrt\nu \sinh u$.

The density of u is $c\, \cosh(u)^{-\nu}$, $c = \Gamma(\frac{\nu+1}{2}) / (\Gamma(\frac{\nu}{2}) \sqrt\pi)$, whose
logarithm is concave.

Reference:
    Johnson, Kotz, Balakrishnan, *Continuous univariate distributions*, volume 2, 1995, chapter 28.
"""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions.util import log1mexp

from gmdsl.distributions.special.log_integral import decay, floats, log_integral, reach
from gmdsl.distributions.special.stirling import stirling_error


def log_student_tails(df: Any, z: Any) -> tuple[Array, Array]:
    """The logarithms of F(z) and of 1 - F(z), elementwise.

    >>> [round(float(tail), 4) for tail in log_student_tails(1.0, 1.0)]
    [-0.2877, -1.3863]
    """
    df, z = floats(df, z)
    positive = z > 0
    ratio = jnp.abs(z) / jnp.sqrt(df)
    start, tilt = jnp.arcsinh(ratio), ratio / jnp.sqrt(1.0 + jnp.minimum(ratio, 1e9) ** 2)
    tilt = jnp.where(ratio > 1e8, 1.0, tilt)

    def g(w: Array) -> Array:
        far, lean = w > 1.0, tilt[..., None]
        near = jnp.where(far, 0.0, w)
        inside = jnp.log1p(2.0 * jnp.sinh(0.5 * near) ** 2 + lean * jnp.sinh(near))
        beyond = w + jnp.log(0.5 * (1.0 + lean + (1.0 - lean) * jnp.exp(-2.0 * w)))
        return -df[..., None] * jnp.where(far, beyond, inside)

    length = jnp.minimum(reach(jnp.zeros_like(df), df), decay(z.dtype) / (df * jnp.maximum(tilt, 1e-30)))
    tail = log_scale(df) - 0.5 * df * _log_square(ratio, start) + log_integral(g, length)
    tail = jnp.minimum(tail, -math.log(2.0))  # at most a half
    rest = log1mexp(tail)
    return jnp.where(positive, rest, tail), jnp.where(positive, tail, rest)


def log_student_density(df: Any, z: Any) -> Array:
    """The log-density at z, for a scale of one."""
    df, z = floats(df, z)
    ratio = z / jnp.sqrt(df)
    return log_scale(df) - 0.5 * jnp.log(df) - 0.5 * (df + 1.0) * jnp.log1p(ratio**2)


def log_scale(df: Array) -> Array:
    r"""$\log[\Gamma(\frac{\nu+1}{2}) / (\Gamma(\frac{\nu}{2}) \sqrt\pi)]$."""
    a = 0.5 * df
    errors = stirling_error(a + 0.5) - stirling_error(a)
    return a * jnp.log1p(0.5 / a) + 0.5 * jnp.log(a) - 0.5 + errors - 0.5 * math.log(math.pi)


def _log_square(ratio: Array, start: Array) -> Array:
    """log(1 + ratio ** 2), which is twice the logarithm of cosh(start); its square may overflow."""
    far = ratio > 1e8
    return jnp.where(far, 2.0 * (start - math.log(2.0)), jnp.log1p(jnp.where(far, 0.0, ratio) ** 2))
