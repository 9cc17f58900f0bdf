r"""Observations with gaps: what is missing is integrated out, $p(y_{obs}) = \int p(y)\, dy_{mis}$.

A gap is a NaN in the observed array. Independent elements (batch dimensions) integrate to one, so their terms
drop out; the missing coordinates of a Gaussian leave the Gaussian of the rest; paths are in
`gmdsl.exact.missing_path`. In all cases the gaps are read
off the data while the density is evaluated, so another pattern of gaps compiles nothing.

Reference:
    Rubin, *Inference and missing data*, Biometrika, 1976; Murphy, *Probabilistic Machine Learning*, 2022.
"""

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.numerics import safe_logsumexp
from gmdsl.exact.gaussian.from_model import factor_form
from gmdsl.exact.gaussian.gaussian_mixture import GaussianMixture
from gmdsl.exact.missing_path import imputed_path, path_terms
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Values
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.time_series import Scan
from gmdsl.graph.factors.wrapped import Wrapped


class Missing(Wrapped):
    """A conditional of one observed child whose NaN elements are integrated out.

    Attributes:
        base: the conditional of the whole child.
        event: how many trailing axes of the child are one event that is missing as a whole; 0 where single elements
            can be missing.
        at_end: whether only the end of a path can be missing.
    """

    base: Conditional
    event: int = eqx.field(static=True, default=0)
    at_end: bool = eqx.field(static=True, default=False)

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def normalized(self) -> bool:
        return self.base.normalized

    def pointwise(self, values: Values) -> dict[str, Array]:
        child = self.children[0]
        if isinstance(self.base, Distributed):
            distribution = self.base.distribution(values)
            terms = observed_log_prob(distribution, values[child])
            return {child: self.base.allowed(distribution, values[child], terms)}
        if isinstance(self.base, Scan):
            return {child: path_terms(self.base, values)}
        form = factor_form(self.base, values)
        if form is None:
            raise SpecError(f"{self.name}: it is no Gaussian here, so the gaps in {child} cannot be integrated out.")
        return {child: marginal_log_density(form, jnp.ravel(values[child]))}

    def imputed(self, key: Array, values: Values, seen: Any) -> Array:
        """A draw of the child whose gaps are drawn given what was observed; the rest is drawn anew."""
        child = self.children[0]
        key_draw, key_label = jax.random.split(key)
        if isinstance(self.base, Scan):
            drawn = self.base.draw(key_draw, values)[child]
            return jnp.where(jnp.isnan(seen), imputed_path(key_label, self.base, values, seen), drawn)
        if not isinstance(self.base, Distributed):
            form = factor_form(self.base, values)
            assert form is not None
            return drawn_given(key, form, jnp.ravel(seen)).reshape(jnp.shape(seen))
        drawn = self.base.draw(key_draw, values)[child]
        gaussian = multivariate_normal(one_event(self.base.distribution(values)))
        return drawn if gaussian is None else _given_observed(drawn, gaussian.covariance_matrix, seen)

    def rename(self, names: Mapping[str, str]) -> "Missing":
        return Missing(self.base.rename(names), self.event, self.at_end)  # ty: ignore[invalid-argument-type]


def observed_log_prob(distribution: Any, value: Any) -> Array:
    """The log-density of what is not NaN in a value, one number per batch element of a NumPyro distribution.

    >>> import numpyro.distributions as dist
    >>> observed_log_prob(dist.Exponential(1.0).expand([2]), jnp.array([3.0, jnp.nan])).tolist()
    [-3.0, 0.0]
    """
    import numpyro.distributions as dist

    if type(distribution) is dist.Independent:
        inner = observed_log_prob(distribution.base_dist, value)
        return jnp.sum(inner, axis=tuple(range(-distribution.reinterpreted_batch_ndims, 0)))
    gaussian = multivariate_normal(distribution)
    if gaussian is not None:
        found = multivariate_log_prob(gaussian.loc, gaussian.covariance_matrix, value)
        return jnp.broadcast_to(found, distribution.batch_shape)
    axes = tuple(range(-len(distribution.event_shape), 0))
    gaps = jnp.isnan(value)
    # A point inside the support stands in for a gap: its density, and the gradient of that, are finite numbers.
    whole = jnp.where(gaps, distribution.support.feasible_like(value), value)
    whole = whole.astype(int) if distribution.support.is_discrete else whole
    terms = jnp.where(jnp.any(gaps, axes), 0.0, distribution.log_prob(whole))
    torn = jnp.any(gaps, axes) & ~jnp.all(gaps, axes)
    return jnp.where(torn, jnp.nan, terms) if axes else terms


def marginal_log_density(mixture: GaussianMixture, value: Float[Array, " dim"]) -> Float[Array, ""]:
    """The log-density of the coordinates of a Gaussian mixture that are not NaN."""
    terms = multivariate_log_prob(mixture.means, mixture.covariances, value)
    return safe_logsumexp(mixture.log_weights + terms)


def drawn_given(key: Array, mixture: GaussianMixture, seen: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """A draw whose gaps follow the law given what was seen; the rest is drawn anew."""
    key_draw, key_label = jax.random.split(key)
    logits = mixture.log_weights + multivariate_log_prob(mixture.means, mixture.covariances, seen)
    label = jax.random.categorical(key_label, logits)
    drawn = jax.random.multivariate_normal(key_draw, mixture.means[label], mixture.covariances[label])
    return _given_observed(drawn, mixture.covariances[label], seen)


def one_event(distribution: Any) -> Any:
    """The distribution of one event, whose copies `to_event` joins."""
    import numpyro.distributions as dist

    while type(distribution) is dist.Independent:
        distribution = distribution.base_dist
    return distribution


def multivariate_normal(distribution: Any) -> Any:
    """The multivariate normal that a distribution is, expanded or not; None when it is another."""
    import numpyro.distributions as dist

    if type(distribution) is dist.ExpandedDistribution:
        return multivariate_normal(distribution.base_dist)
    return distribution if type(distribution) in (dist.MultivariateNormal, dist.LowRankMultivariateNormal) else None


def multivariate_log_prob(mean: Array, covariance: Array, value: Any) -> Array:
    """The log-density of the coordinates that are not NaN: the others become a standard normal at zero."""
    seen = ~jnp.isnan(value)
    lower = jnp.linalg.cholesky(_of_seen(covariance, seen))
    gap = jnp.where(seen, jnp.nan_to_num(value) - mean, 0.0)
    lower = jnp.broadcast_to(lower, (*gap.shape, gap.shape[-1]))
    white = solve_triangular(lower, gap[..., None], lower=True)[..., 0]
    halved = jnp.sum(jnp.log(jnp.diagonal(lower, axis1=-2, axis2=-1)), -1)
    return -0.5 * jnp.sum(white**2, -1) - halved - 0.5 * math.log(2.0 * math.pi) * jnp.sum(seen, -1)


def _of_seen(covariance: Array, seen: Array) -> Array:
    """The covariance with the rows and columns of gaps replaced by those of the identity."""
    both = seen[..., :, None] & seen[..., None, :]
    return jnp.where(both, covariance, jnp.eye(covariance.shape[-1]))


def _given_observed(drawn: Array, covariance: Array, seen: Array) -> Array:
    """A draw moved so that its gaps follow the law given what was observed (Matheron's rule)."""
    there = ~jnp.isnan(seen)
    gap = jnp.where(there, jnp.nan_to_num(seen) - drawn, 0.0)
    solved = jnp.linalg.solve(_of_seen(covariance, there), gap[..., None])
    moved = (covariance @ jnp.where(there[..., None], solved, 0.0))[..., 0]
    return drawn + jnp.where(there, 0.0, moved)


FIX = "Declare the missing part as a variable of its own, or model the elements as independent."
