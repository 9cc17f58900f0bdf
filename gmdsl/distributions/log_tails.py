r"""The two tails of a distribution, $\log F(x)$ and $\log(1 - F(x))$.

Far out, $1 - F$ is zero in floating point long before its logarithm is large; families with a closed form for the
logarithm keep it. Gamma and beta integrals are taken in logarithms (`special`), since those of JAX lose their digits
in single precision where shapes are large. Others take the logarithm of their `cdf`, which ends at minus infinity
where the cdf underflows.

Reference:
    Maechler, *Accurately computing log(1 - exp(-|a|))*, 2012.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array
from numpyro.distributions.util import log1mexp

from gmdsl.core.numerics import safe_logsumexp
from gmdsl.distributions.special.beta_tails import log_beta_tails
from gmdsl.distributions.special.gamma_tails import log_gamma_tails
from gmdsl.distributions.special.normal_tails import log_normal_tail
from gmdsl.distributions.special.student_tails import log_student_tails

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
    return log_normal_tail(z), log_normal_tail(-z)


def _half_normal(d: Any, x: Any) -> Tails:
    z = x / d.scale
    return _log(jax.scipy.special.erf(z / math.sqrt(2.0))), math.log(2.0) + log_normal_tail(-z)


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
    return log_student_tails(d.df, (x - d.loc) / d.scale)


def _gumbel(d: Any, x: Any) -> Tails:
    z = (x - d.loc) / d.scale
    below = -jnp.exp(-z)
    far = z > 40.0  # there 1 - F(x) is exp(-z) to the last digit, and then exp(-z) underflows
    return below, jnp.where(far, -z, log1mexp(jnp.where(far, -1.0, below)))


def _gamma(d: Any, x: Any) -> Tails:
    return log_gamma_tails(d.concentration, d.rate * x)


def _beta(d: Any, x: Any) -> Tails:
    return log_beta_tails(d.concentration1, d.concentration0, x, 1.0 - x)


def _poisson(d: Any, x: Any) -> Tails:
    count = jnp.floor(x) + 1.0  # at -1 there is nothing below
    above, below = log_gamma_tails(jnp.maximum(count, 1.0), d.rate)
    return jnp.where(count <= 0, -jnp.inf, below), jnp.where(count <= 0, 0.0, above)


def _binomial(d: Any, x: Any) -> Tails:
    count, (p, q) = jnp.floor(x) + 1.0, probabilities(d)
    none, whole = count <= 0, count > d.total_count
    count = jnp.clip(count, 1.0, jnp.maximum(d.total_count, 1))
    above, below = log_beta_tails(count, jnp.maximum(d.total_count + 1.0 - count, 1.0), p, q)
    below = jnp.where(none, -jnp.inf, jnp.where(whole, 0.0, below))
    return below, jnp.where(none, 0.0, jnp.where(whole, -jnp.inf, above))


def _gamma_poisson(d: Any, x: Any) -> Tails:
    count = jnp.floor(x) + 1.0
    above, below = log_beta_tails(
        jnp.maximum(count, 1.0), d.concentration, 1.0 / (1.0 + d.rate), d.rate / (1.0 + d.rate)
    )
    return jnp.where(count <= 0, -jnp.inf, below), jnp.where(count <= 0, 0.0, above)


def _geometric(d: Any, x: Any) -> Tails:
    count = jnp.maximum(jnp.floor(x) + 1.0, 0.0)
    return _from_above(count * jnp.log1p(-d.probs))


def _uniform(d: Any, x: Any) -> Tails:
    width = d.high - d.low
    return _log(jnp.clip((x - d.low) / width, 0.0, 1.0)), _log(jnp.clip((d.high - x) / width, 0.0, 1.0))


def _levy(d: Any, x: Any) -> Tails:
    z = jnp.sqrt(d.scale / (x - d.loc))
    return math.log(2.0) + log_normal_tail(-z), _log(jax.scipy.special.erf(z / math.sqrt(2.0)))


def _asymmetric_laplace(d: Any, x: Any) -> Tails:
    z, total = x - d.loc, d.left_scale + d.right_scale
    left = jnp.log(d.left_scale / total) + jnp.minimum(z, 0.0) / d.left_scale
    right = jnp.log(d.right_scale / total) - jnp.maximum(z, 0.0) / d.right_scale
    return jnp.where(z < 0, left, log1mexp(right)), jnp.where(z < 0, log1mexp(left), right)


def _soft_laplace(d: Any, x: Any) -> Tails:
    z = (x - d.loc) / d.scale
    return _log_arctan_exp(z), _log_arctan_exp(-z)


def _log_arctan_exp(z: Array) -> Array:
    far = z < -20.0
    return math.log(2.0 / math.pi) + jnp.where(far, z, jnp.log(jnp.arctan(jnp.exp(jnp.where(far, 0.0, z)))))


def _mixture(d: Any, x: Any) -> Tails:
    log_weight = jax.nn.log_softmax(d.mixing_distribution.logits)
    if isinstance(d, dist.MixtureSameFamily):
        tails = log_tails(d.component_distribution, jnp.expand_dims(x, -1))
    else:
        parts = [jnp.broadcast_arrays(*log_tails(part, x)) for part in d.component_distributions]
        tails = tuple(jnp.stack(jnp.broadcast_arrays(*side), axis=-1) for side in zip(*parts, strict=True))
    below, above = (safe_logsumexp(log_weight + side) for side in tails)
    return below, above


def probabilities(d: Any) -> tuple[Any, Any]:
    """The probability of a success and of a failure, each to its own digits."""
    if isinstance(d, dist.BinomialLogits):
        return jax.nn.sigmoid(d.logits), jax.nn.sigmoid(-d.logits)
    return d.probs, 1.0 - d.probs


def by_family(gamma: Any, beta: Any, poisson: Any, binomial: Any, gamma_poisson: Any) -> dict[type, Any]:
    """The rules of families that are gamma and beta integrals, by the class of the distribution."""
    return {
        **dict.fromkeys((dist.Gamma, dist.Chi2), gamma),
        **dict.fromkeys((dist.Beta, dist.BetaProportion), beta),
        dist.Poisson: poisson,
        **dict.fromkeys((dist.BinomialProbs, dist.BinomialLogits), binomial),
        **dict.fromkeys((dist.GammaPoisson, dist.NegativeBinomial2), gamma_poisson),
        **dict.fromkeys((dist.NegativeBinomialProbs, dist.NegativeBinomialLogits), gamma_poisson),
    }


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
    **by_family(_gamma, _beta, _poisson, _binomial, _gamma_poisson),
    dist.GeometricProbs: _geometric,
    dist.Uniform: _uniform,
    dist.Gompertz: lambda d, x: _from_above(-d.concentration * jnp.expm1(d.rate * x)),
    dist.Levy: _levy,
    dist.AsymmetricLaplace: _asymmetric_laplace,
    dist.SoftLaplace: _soft_laplace,
    dist.MixtureSameFamily: _mixture,
    dist.MixtureGeneral: _mixture,
}
