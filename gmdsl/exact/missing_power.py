r"""Gaps under a power: what is missing is integrated out of the powered density, $\int p(y)^\beta\, dy_{mis}$.

That is not the power of $p(y_{obs})$, which gaps before the power give: $\int p(y)^\beta\, dy$ of an element is a
number that depends on its parameters. It is known for a Gaussian, $p^\beta \propto N(m, C / \beta)$, for finitely many
values, and for a few other families.

Reference:
    Renyi, *On measures of entropy and information*, 1961 (the logarithm of such an integral is his entropy).
"""

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.exact.missing import multivariate_log_prob, multivariate_normal
from gmdsl.graph.factor import Factor, Undirected, Values
from gmdsl.graph.factors.distributed import Distributed


class MissingPower(Undirected):
    """The power of a conditional of one observed child, whose NaN elements are integrated out.

    Attributes:
        base: the conditional of the whole child.
        exponent: the power, above zero.
    """

    base: Distributed
    exponent: float = eqx.field(static=True)
    event: int = eqx.field(static=True, default=0)
    at_end: bool = eqx.field(static=True, default=False)

    @property
    def name(self) -> str:
        return f"{self.base.name} ** {self.exponent:g}"

    @property
    def parents(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.base.children, *self.base.parents)))

    @property
    def inner(self) -> Factor:
        return self.base

    def around(self, inner: Factor) -> "MissingPower":
        assert isinstance(inner, Distributed)
        return MissingPower(inner, self.exponent)

    def log_density(self, values: Values) -> Float[Array, ""]:
        distribution, value = self.base.distribution(values), values[self.base.child]
        terms = powered_log_prob(distribution, value, self.exponent)
        return jnp.sum(self.base.allowed(distribution, value, terms))

    def rename(self, names: Mapping[str, str]) -> "MissingPower":
        return MissingPower(self.base.rename(names), self.exponent)


def powered_log_prob(distribution: Any, value: Any, exponent: float) -> Array:
    r"""The logarithm of $\int p(y)^\beta\, dy_{mis}$, one number per batch element of a NumPyro distribution.

    Args:
        distribution: one for which `knows_power` holds.
        value: NaN where it is missing.
        exponent: $\beta > 0$.

    >>> import numpyro.distributions as dist
    >>> found = powered_log_prob(dist.Exponential(3.0).expand([2]), jnp.array([1.0, jnp.nan]), 2.0)
    >>> [round(float(term), 3) for term in found]
    [-3.803, 0.405]
    """
    import numpyro.distributions as dist

    if type(distribution) is dist.Independent:
        inner = powered_log_prob(distribution.base_dist, value, exponent)
        return jnp.sum(inner, axis=tuple(range(-distribution.reinterpreted_batch_ndims, 0)))
    gaussian = multivariate_normal(distribution)
    if gaussian is not None:
        size, covariance = gaussian.event_shape[0], gaussian.covariance_matrix
        spread = size * math.log(2.0 * math.pi) + jnp.linalg.slogdet(covariance)[1]
        found = 0.5 * (1.0 - exponent) * spread - 0.5 * size * math.log(exponent)
        found = found + multivariate_log_prob(gaussian.loc, covariance / exponent, value)
        return jnp.broadcast_to(found, distribution.batch_shape)
    gaps = jnp.isnan(value)
    whole = jnp.where(gaps, distribution.support.feasible_like(value), value)
    whole = whole.astype(int) if distribution.support.is_discrete else whole
    gone = _integral(distribution, exponent)
    assert gone is not None
    return jnp.where(gaps, gone, exponent * distribution.log_prob(whole))


def knows_power(distribution: Any) -> bool:
    """Whether the integral of a power of a NumPyro distribution is known, element by element or of a Gaussian."""
    import numpyro.distributions as dist

    if type(distribution) is dist.Independent:
        return knows_power(distribution.base_dist)
    return multivariate_normal(distribution) is not None or _integral(distribution, 0.5) is not None


def _integral(distribution: Any, exponent: float) -> Array | None:
    """The logarithm of the integral of a power, one number per batch element; None where it is not known."""
    import numpyro.distributions as dist

    kind, flat = type(distribution), 1.0 - exponent
    if distribution.event_dim:
        return None
    if kind is dist.ExpandedDistribution:
        found = _integral(distribution.base_dist, exponent)
        return None if found is None else jnp.broadcast_to(found, distribution.batch_shape)
    if kind is dist.Normal:
        return flat * (jnp.log(distribution.scale) + 0.5 * math.log(2.0 * math.pi)) - 0.5 * math.log(exponent)
    if kind is dist.Laplace:
        return flat * jnp.log(2.0 * distribution.scale) - math.log(exponent)
    if kind is dist.Exponential:
        return -flat * jnp.log(distribution.rate) - math.log(exponent)
    if kind is dist.Uniform:
        return flat * jnp.log(distribution.high - distribution.low)
    if not distribution.has_enumerate_support:
        return None
    states = distribution.enumerate_support(expand=False)
    return jax.nn.logsumexp(exponent * distribution.log_prob(states), axis=0)
