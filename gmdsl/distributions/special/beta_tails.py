r"""The incomplete beta function, $\log I_p(a, b)$ and $\log(1 - I_p(a, b)) = \log I_{1-p}(b, a)$.

In the logit of the variable, counted from the logit of p, the integrand is $\frac{p^a q^b}{B(a, b)} e^{g(u)}$ with
$g(u) = (a q - b p) u - (a + b)\,[\log(q + p e^u) - p u]$, which is concave; q = 1 - p. The tail that does not hold the
mode is integrated.

Reference:
    DiDonato, Morris, *Significant digit computation of the incomplete beta function ratios*, ACM TOMS, 1992
    (the problem).
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions.util import log1mexp

from gmdsl.distributions.special.log_integral import decay, floats, log_integral, reach
from gmdsl.distributions.special.stirling import HALF_LOG_TWO_PI, deviance, exp_beyond_linear, stirling_error

SMALL = 5.0  # shapes below are raised by one: there the integrand has a part that is narrower than its length
_FAR = 30.0  # beyond, the exponential is nothing, or all


def log_beta_tails(a: Any, b: Any, p: Any, q: Any) -> tuple[Array, Array]:
    """The logarithms of I_p(a, b) and of its complement, elementwise.

    Args:
        a: shape, above 0.
        b: shape, above 0.
        p: points in [0, 1].
        q: 1 - p, which the caller may know to more digits.

    >>> [round(float(tail), 4) for tail in log_beta_tails(1e6, 1e6, 0.5, 0.5)]
    [-0.6931, -0.6931]
    """
    a, b, p, q = floats(a, b, p, q)
    none, whole = p <= 0, q <= 0
    p, q = (jnp.maximum(share, jnp.finfo(p.dtype).tiny) for share in (p, q))
    lower = a * q > b * p
    small = _lower(*_swapped(lower, a, b), *_swapped(lower, p, q))
    small = jnp.minimum(small, -jnp.finfo(p.dtype).tiny)
    large = log1mexp(small)
    below, above = jnp.where(lower, small, large), jnp.where(lower, large, small)
    below = jnp.where(none, -jnp.inf, jnp.where(whole, 0.0, below))
    return below, jnp.where(none, 0.0, jnp.where(whole, -jnp.inf, above))


def log_beta_power(a: Array, b: Array, p: Array, q: Array) -> Array:
    r"""$\log(p^a q^b / B(a, b))$: the density of the logit of a beta variable.

    >>> round(float(log_beta_power(*(jnp.asarray(v) for v in (2.0, 3.0, 0.25, 0.75)))), 5)
    -1.15073
    """
    n, slope = a + b, a * q - b * p
    scale = 0.5 * (jnp.log(a) + jnp.log(b) - jnp.log(n)) - HALF_LOG_TWO_PI
    errors = stirling_error(n) - stirling_error(a) - stirling_error(b)
    return scale + errors - deviance(a, n * p, -slope) - deviance(b, n * q, slope)


def _lower(a: Array, b: Array, p: Array, q: Array) -> Array:
    """Log I_p(a, b) where the mode lies above p."""
    raised = a < SMALL
    shape = jnp.where(raised, a + 1.0, a)  # I_p(a, b) = I_p(a + 1, b) + p^a q^b / (a B(a, b))
    n, slope = shape + b, jnp.maximum(shape * q - b * p, 0.0)

    def g(w: Array) -> Array:
        return -slope[..., None] * w - n[..., None] * _bend(w, p[..., None], q[..., None])

    certain = (decay(p.dtype) - n * jnp.log(q)) / shape
    growing = jnp.maximum(jnp.log1p(4.0 * decay(p.dtype) / (n * q)), 1.3) / p  # where q (exp(p w) - 1 - p w) is enough
    length = jnp.minimum(reach(slope, n * p * q), certain)
    length = jnp.where(n > decay(p.dtype), jnp.minimum(length, growing), length)
    found = log_beta_power(shape, b, p, q) + log_integral(g, length)
    return jnp.where(raised, jnp.logaddexp(found, log_beta_power(a, b, p, q) - jnp.log(a)), found)


def _bend(w: Array, p: Array, q: Array) -> Array:
    """log(q + p exp(-w)) + p w for w >= 0: of second order in w."""
    far = w > _FAR
    near = jnp.where(far, 1.0, w)
    inside = jnp.log1p(q * exp_beyond_linear(p * near) + p * exp_beyond_linear(-q * near))
    log_q = jnp.where(p < 0.5, jnp.log1p(-jnp.where(p < 0.5, p, 0.0)), jnp.log(q))
    return jnp.where(far, jnp.logaddexp(log_q, jnp.log(p) - w) + p * w, inside)


def _swapped(keep: Array, first: Array, second: Array) -> tuple[Array, Array]:
    return jnp.where(keep, first, second), jnp.where(keep, second, first)
