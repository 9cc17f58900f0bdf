r"""Densities that keep their digits in single precision where parameters are large.

$k \log\lambda - \lambda - \log k!$ is a difference of numbers near $\lambda \log\lambda$: at a rate of a million,
single precision has lost its first digit. The same densities in Loader's form have no such difference.

Reference:
    Loader, *Fast and accurate computation of binomial probabilities*, 2000.
"""

from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from gmdsl.distributions.log_tails import by_family, probabilities
from gmdsl.distributions.special.beta_tails import log_beta_power
from gmdsl.distributions.special.gamma_tails import log_gamma_power
from gmdsl.distributions.special.log_integral import floats
from gmdsl.distributions.special.student_tails import log_student_density


def log_density(distribution: Any, value: Any) -> Array:
    """The log-density of a univariate distribution, elementwise; NumPyro's where that keeps its digits.

    >>> round(float(log_density(dist.Poisson(1e6), 1_000_000)), 4)
    -7.8267
    """
    base = distribution
    while type(base) is dist.ExpandedDistribution:
        base = base.base_dist
    stable = _STABLE.get(type(base))
    if type(base) is dist.TransformedDistribution or isinstance(base, dist.InverseGamma):
        found = _transformed(base, value)
    elif stable is None:
        return distribution.log_prob(value)
    else:
        found = stable(base, value)
    return jnp.broadcast_to(found, jnp.broadcast_shapes(jnp.shape(value), distribution.batch_shape))


def _transformed(d: Any, value: Any) -> Array:
    """The density of what was transformed, and the logarithm of the volume."""
    found: Any = 0.0
    for transform in reversed(d.transforms):
        inner = transform.inv(value)
        found = found - transform.log_abs_det_jacobian(inner, value)
        value = inner
    return found + log_density(d.base_dist, value)


def _gamma(d: Any, value: Any) -> Array:
    a, x, y = floats(d.concentration, d.rate * value, value)
    tiny = jnp.finfo(x.dtype).tiny
    return jnp.where(y >= 0, log_gamma_power(a, jnp.maximum(x, tiny)) - jnp.log(jnp.maximum(y, tiny)), -jnp.inf)


def _beta(d: Any, value: Any) -> Array:
    a, b, x = floats(d.concentration1, d.concentration0, value)
    p, q = (jnp.maximum(share, jnp.finfo(x.dtype).tiny) for share in (x, 1.0 - x))
    return jnp.where((x >= 0) & (x <= 1), log_beta_power(a, b, p, q) - jnp.log(p) - jnp.log(q), -jnp.inf)


def _poisson(d: Any, value: Any) -> Array:
    count, rate = floats(value, d.rate)
    rate = jnp.maximum(rate, jnp.finfo(rate.dtype).tiny)
    return jnp.where(count >= 0, log_gamma_power(jnp.maximum(count, 0.0) + 1.0, rate) - jnp.log(rate), -jnp.inf)


def _binomial(d: Any, value: Any) -> Array:
    count, total, p, q = floats(value, d.total_count, *probabilities(d))
    p, q = (jnp.maximum(share, jnp.finfo(p.dtype).tiny) for share in (p, q))
    inside = (count >= 0) & (count <= total)
    count = jnp.clip(count, 0.0, total)
    found = log_beta_power(count + 1.0, total - count + 1.0, p, q) - jnp.log(total + 1.0) - jnp.log(p) - jnp.log(q)
    return jnp.where(inside, found, -jnp.inf)


def _gamma_poisson(d: Any, value: Any) -> Array:
    count, r, rate = floats(value, d.concentration, d.rate)
    inside, count = count >= 0, jnp.maximum(count, 0.0)
    p, q = (jnp.maximum(share, jnp.finfo(r.dtype).tiny) for share in (1.0 / (1.0 + rate), rate / (1.0 + rate)))
    found = log_beta_power(count + 1.0, r, p, q) - jnp.log(p) - jnp.log(count + r)
    return jnp.where(inside, found, -jnp.inf)


def _student(d: Any, value: Any) -> Array:
    return log_student_density(d.df, (value - d.loc) / d.scale) - jnp.log(d.scale)


_STABLE = {**by_family(_gamma, _beta, _poisson, _binomial, _gamma_poisson), dist.StudentT: _student}
