r"""What is left of factorials and powers when their large parts have cancelled.

$\log\Gamma(a) = (a - \tfrac12) \log a - a + \tfrac12 \log 2\pi + \delta(a)$, and
$D(a, x) = x - a - a \log(x / a)$, the deviance of a count a at the mean x. With them
$x^a e^{-x} / \Gamma(a) = \sqrt{a / 2\pi}\, e^{-\delta(a) - D(a, x)}$: no difference of large numbers is taken.

Reference:
    Loader, *Fast and accurate computation of binomial probabilities*, 2000.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
_FROM = 8  # the series of the error is used from here; smaller arguments are raised by as much


def stirling_error(a: Array) -> Array:
    r"""$\delta(a)$, for a > 0.

    >>> round(float(stirling_error(jnp.asarray(1e6))) * 12e6, 4)
    1.0
    """
    small = a < _FROM
    raised = jnp.where(small, a + _FROM, a)  # Gamma(a) = Gamma(a + 8) / (a (a + 1) ... (a + 7))
    inverse = 1.0 / raised
    series = inverse * _polynomial(_SERIES, inverse**2)
    inner = jnp.where(small, a, 1.0)
    product = inner
    for k in range(1, _FROM):
        product = product * (inner + k)
    step = (inner + (_FROM - 0.5)) * jnp.log(inner + _FROM) - (inner - 0.5) * jnp.log(inner) - jnp.log(product) - _FROM
    return series + jnp.where(small, step, 0.0)


@jax.custom_jvp
def deviance(a: Array, x: Array, difference: Array) -> Array:
    r"""$D(a, x) = x - a - a \log(x / a)$, which is small where x is near to a.

    Args:
        a: above 0.
        x: above 0.
        difference: x - a, which the caller may know to more digits.
    """
    ratio = difference / a
    near = jnp.abs(ratio) < 0.5
    inner = jnp.where(near, ratio, 0.0)
    r = inner / (2.0 + inner)
    terms = 8 if r.dtype == jnp.float32 else 18
    series = inner * r - 2.0 * r**3 * _polynomial(tuple(1.0 / (2 * k + 3) for k in range(terms)), r**2)
    return jnp.where(near, a * series, difference - a * (jnp.log(x) - jnp.log(a)))


@deviance.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a, x, difference), (a_dot, x_dot, _) = primals, tangents
    near = jnp.abs(difference) < 0.5 * a
    log_ratio = jnp.where(near, jnp.log1p(jnp.where(near, difference / a, 0.0)), jnp.log(x) - jnp.log(a))
    return deviance(a, x, difference), difference / x * x_dot - log_ratio * a_dot


@jax.custom_jvp
def exp_beyond_linear(u: Array) -> Array:
    """exp(u) - 1 - u, which is u ** 2 / 2 near zero."""
    near = jnp.abs(u) < 0.5
    inner = jnp.where(near, u, 0.0)
    terms = 8 if u.dtype == jnp.float32 else 15
    series = inner**2 * _polynomial(tuple(1.0 / math.factorial(k + 2) for k in range(terms)), inner)
    return jnp.where(near, series, jnp.expm1(u) - u)


@exp_beyond_linear.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return exp_beyond_linear(*primals), jnp.expm1(primals[0]) * tangents[0]


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Horner's scheme, the constant first."""
    found = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        found = found * x + coefficient
    return found
