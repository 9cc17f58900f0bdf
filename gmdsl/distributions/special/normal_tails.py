r"""The tails of the normal law, $\log\Phi(z)$, with a derivative that holds far out.

JAX's derivative is a density over a mass, each taken from logarithms near $-z^2/2$: at $z = -5000$ single precision
has lost all digits. Here it is one over Mills' ratio, by its continued fraction.

Reference:
    Mills, *Table of the ratio: area to bounding ordinate*, Biometrika, 1926; NIST DLMF, 7.9.3.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from jaxtyping import Array

from gmdsl.distributions.special.log_integral import floats

_FAR = 6.0  # the continued fraction is used from here
_LEVELS = 30


@jax.custom_jvp
def log_normal_tail(z: Any) -> Array:
    r"""$\log \Phi(z)$, elementwise.

    >>> round(float(jax.grad(log_normal_tail)(-5000.0)), 3)
    5000.0
    """
    (z,) = floats(z)
    return log_ndtr(z)


@log_normal_tail.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return log_normal_tail(*primals), normal_hazard(-primals[0]) * tangents[0]


def log_survival_ratio(z: Array) -> Array:
    r"""$\log[(1 - \Phi(z)) / \varphi(z)]$, Mills' ratio; falls as $-\log z$."""
    far = z > _FAR
    near = jnp.where(far, 0.0, z)
    direct = log_normal_tail(-near) + 0.5 * near**2 + 0.918938533204672742
    return jnp.where(far, -jnp.log(_fraction(jnp.where(far, z, _FAR))), direct)


def normal_hazard(z: Array) -> Array:
    r"""$\varphi(z) / (1 - \Phi(z))$, close to z far out."""
    far = z > _FAR
    near = jnp.where(far, 0.0, z)
    direct = jnp.exp(-0.5 * near**2 - log_ndtr(-near) - 0.918938533204672742)
    return jnp.where(far, _fraction(jnp.where(far, z, _FAR)), direct)


def _fraction(z: Array) -> Array:
    """Z + 1 / (z + 2 / (z + 3 / ...))."""
    found = z
    for level in range(_LEVELS, 0, -1):
        found = z + level / found
    return found
