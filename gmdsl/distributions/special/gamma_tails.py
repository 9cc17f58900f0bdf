r"""The incomplete gamma functions, $\log P(a, x)$ and $\log Q(a, x) = \log(1 - P)$.

In $u = \log(t / x)$ the integrand is $\frac{x^a e^{-x}}{\Gamma(a)} e^{g(u)}$ with
$g(u) = (a - x) u - x (e^u - 1 - u)$, which is concave. The tail that does not hold the mode is integrated, the other is
its complement. For all a and x at one cost, with derivatives in both, and no difference of large numbers.

Reference:
    Temme, *The asymptotic expansion of the incomplete gamma functions*, SIAM J. Math. Anal., 1979 (the problem).
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions.util import log1mexp

from gmdsl.distributions.special.log_integral import decay, floats, log_integral, reach
from gmdsl.distributions.special.stirling import HALF_LOG_TWO_PI, deviance, exp_beyond_linear, stirling_error

SMALL = 5.0  # shapes below are raised by one: there the integrand has a part that is narrower than its length


def log_gamma_tails(a: Any, x: Any) -> tuple[Array, Array]:
    """The logarithms of P(a, x) and Q(a, x), elementwise.

    Args:
        a: shape, above 0.
        x: points, at least 0.

    >>> [round(float(tail), 4) for tail in log_gamma_tails(1e6, 1e6)]
    [-0.6929, -0.6934]
    """
    a, x = floats(a, x)
    nothing = x <= 0
    x = jnp.clip(x, jnp.finfo(x.dtype).tiny, jnp.finfo(x.dtype).max ** 0.75)
    upper = x > a
    shape = jnp.where(~upper & (a < SMALL), a + 1.0, a)  # P(a, x) = P(a + 1, x) + x^a exp(-x) / Gamma(a + 1)
    slope = jnp.abs(x - shape)
    side = jnp.where(upper, 1.0, -1.0)

    def g(w: Array) -> Array:
        return -slope[..., None] * w - x[..., None] * exp_beyond_linear(side[..., None] * w)

    rising = jnp.maximum(jnp.log1p(2.0 * decay(x.dtype) / x), 1.3)  # where exp(u) - 1 - u has grown enough
    length = jnp.where(upper, jnp.minimum(reach(slope, x), rising), reach(slope, x))
    small = log_gamma_power(shape, x) + log_integral(g, length)
    first = log_gamma_power(a, x) - jnp.log(a)
    small = jnp.where(shape > a, jnp.logaddexp(small, first), small)
    small = jnp.minimum(small, -jnp.finfo(x.dtype).tiny)
    large = log1mexp(small)
    below, above = jnp.where(upper, large, small), jnp.where(upper, small, large)
    return jnp.where(nothing, -jnp.inf, below), jnp.where(nothing, 0.0, above)


def log_gamma_power(a: Array, x: Array) -> Array:
    r"""$\log(x^a e^{-x} / \Gamma(a))$: the density of the logarithm of a gamma variable.

    >>> round(float(log_gamma_power(jnp.asarray(2.0), jnp.asarray(3.0))), 5)
    -0.80278
    """
    return 0.5 * jnp.log(a) - HALF_LOG_TWO_PI - stirling_error(a) - deviance(a, x, x - a)
