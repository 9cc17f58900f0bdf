r"""The two tails of a distribution, $\log F(x)$ and $\log(1 - F(x))$.

Far out, $1 - F$ is zero in floating point long before its logarithm is large; families with a closed form for the
logarithm keep it. Others take the logarithm of their `cdf`, which ends at minus infinity where the cdf underflows.

Reference:
    Maechler, *Accurately computing log(1 - exp(-|a|))*, 2012.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import gammainc, gammaincc, log_ndtr
from jaxtyping import Array
from numpyro.distributions.util import log1mexp

type Tails = tuple[Array, Array]


def log_tails(distribution: Any, x: Any) -> Tails:
    """The logarithms of F(x) and of 1 - F(x), elementwise.

    Args:
        distribution: a univariate NumPyro distribution with a cdf.
        x: points inside its support.

    >>> round(float(log_tails(dist.Normal(0.0, 1.0), 30.0)[1]), 4)
    -454.3212
    """
    base = distribution
    while type(base) is dist.ExpandedDistribution:
        base = base.base_dist
    if isinstance(base, dist.TransformedDistribution):
        below, above, increases = *_of_base(base, x), _increases(base)
        return jnp.where(increases, below, above), jnp.where(increases, above, below)
    closed = _CLOSED.get(type(base))
    if closed is not None:
        return closed(base, x)
    below = base.cdf(x)
    return _log(below), _log(1.0 - below)


def log_difference(larger: Array, smaller: Array) -> Array:
    """The logarithm of exp(larger) - exp(smaller)."""
    return larger + log1mexp(smaller - larger)


def _of_base(distribution: Any, x: Any) -> Tails:
    for transform in reversed(distribution.transforms):
        x = transform.inv(x)
    return log_tails(distribution.base_dist, x)


def _increases(distribution: Any) -> Array:
    sign: Any = 1
    for transform in distribution.transforms:
        sign = sign * transform.sign
    return jnp.asarray(sign) > 0


def _log(probability: Array) -> Array:
    """The logarithm, minus infinity with a gradient of zero where the probability underflows."""
    positive = probability > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, probability, 1.0)), -jnp.inf)


def _from_above(log_above: Array) -> Tails:
    return log1mexp(log_above), log_above


def _normal(d: Any, x: Any) -> Tails:
    z = (x - d.loc) / d.scale
    return log_ndtr(z), log_ndtr(-z)


def _half_normal(d: Any, x: Any) -> Tails:
    z = x / d.scale
    return _log(jax.scipy.special.erf(z / math.sqrt(2.0))), math.log(2.0) + log_ndtr(-z)


def _logistic(d: Any, x: Any) -> Tails:
    z = (x - d.loc) / d.scale
    return jax.nn.log_sigmoid(z), jax.nn.log_sigmoid(-z)


def _laplace(d: Any, x: Any) -> Tails:
    z = (x - d.loc) / d.scale
    near, far = jnp.log1p(-0.5 * jnp.exp(-jnp.abs(z))), -jnp.abs(z) - math.log(2.0)
    return jnp.where(z < 0, far, near), jnp.where(z < 0, near, far)


def _cauchy(d: Any, x: Any) -> Tails:
    z = (x - d.loc) / d.scale
    return jnp.log(jnp.arctan2(1.0, -z) / math.pi), jnp.log(jnp.arctan2(1.0, z) / math.pi)


def _half_cauchy(d: Any, x: Any) -> Tails:
    z = x / d.scale
    return _log(2.0 / math.pi * jnp.arctan2(z, 1.0)), jnp.log(2.0 / math.pi * jnp.arctan2(1.0, z))


def _student(d: Any, x: Any) -> Tails:
    z = (x - d.loc) / d.scale
    far = 0.5 * jax.scipy.special.betainc(0.5 * d.df, 0.5, d.df / (d.df + z**2))
    return _log(jnp.where(z < 0, far, 1.0 - far)), _log(jnp.where(z < 0, 1.0 - far, far))


def _gumbel(d: Any, x: Any) -> Tails:
    z = (x - d.loc) / d.scale
    below = -jnp.exp(-z)
    far = z > 40.0  # there 1 - F(x) is exp(-z) to the last digit, and then exp(-z) underflows
    return below, jnp.where(far, -z, log1mexp(jnp.where(far, -1.0, below)))


def _gamma(d: Any, x: Any) -> Tails:
    return _log(gammainc(d.concentration, d.rate * x)), _log(gammaincc(d.concentration, d.rate * x))


def _poisson(d: Any, x: Any) -> Tails:
    count = jnp.floor(x) + 1.0  # at -1 there is nothing below
    none, count = count <= 0, jnp.maximum(count, 1.0)
    below = jnp.where(none, -jnp.inf, _log(gammaincc(count, d.rate)))
    return below, jnp.where(none, 0.0, _log(gammainc(count, d.rate)))


def _uniform(d: Any, x: Any) -> Tails:
    share = jnp.clip((x - d.low) / (d.high - d.low), 0.0, 1.0)
    return _log(share), _log(1.0 - share)


_CLOSED = {
    dist.Normal: _normal,
    dist.HalfNormal: _half_normal,
    dist.Exponential: lambda d, x: _from_above(-d.rate * x),
    dist.Weibull: lambda d, x: _from_above(-((x / d.scale) ** d.concentration)),
    dist.Logistic: _logistic,
    dist.Laplace: _laplace,
    dist.Cauchy: _cauchy,
    dist.HalfCauchy: _half_cauchy,
    dist.StudentT: _student,
    dist.Gumbel: _gumbel,
    dist.Gamma: _gamma,
    dist.Poisson: _poisson,
    dist.Uniform: _uniform,
}
