"""From a NumPyro distribution to the Gaussian mixture that it is, where it is one.

Recognised are Normal, MultivariateNormal, LowRankMultivariateNormal and mixtures of them, expanded
and with batch dimensions moved to the event. Everything else, subclasses too, is not.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.exact.gaussian.gaussian_mixture import GaussianMixture, too_large


def normal_form(distribution: Any) -> GaussianMixture | None:
    """The mixture that a NumPyro distribution is, over its value flattened row by row.

    >>> import numpyro.distributions as dist
    >>> normal_form(dist.Normal(0.0, 2.0).expand([2])).covariances.tolist()
    [[[4.0, 0.0], [0.0, 4.0]]]
    >>> normal_form(dist.Cauchy(0.0, 1.0)) is None
    True
    """
    found = _events(distribution)
    return None if found is None else _join_events(found, len(distribution.batch_shape))


def _events(distribution: Any) -> GaussianMixture | None:
    """Mixtures over one event each, with the batch shape of the distribution in front."""
    import numpyro.distributions as dist

    kind = type(distribution)
    batch = tuple(distribution.batch_shape)
    if kind is dist.Normal:
        mean, scale = (jnp.broadcast_to(p, batch)[..., None, None] for p in (distribution.loc, distribution.scale))
        return GaussianMixture(jnp.zeros((*batch, 1)), mean, scale[..., None] ** 2)
    if kind in (dist.MultivariateNormal, dist.LowRankMultivariateNormal):
        mean = jnp.broadcast_to(distribution.loc, (*batch, *distribution.event_shape))
        covariance = jnp.broadcast_to(distribution.covariance_matrix, (*mean.shape, mean.shape[-1]))
        return GaussianMixture(jnp.zeros((*batch, 1)), mean[..., None, :], covariance[..., None, :, :])
    if kind is dist.ExpandedDistribution:
        base, rank = _events(distribution.base_dist), len(distribution.base_dist.batch_shape)
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*batch, *leaf.shape[rank:])), base)
    if kind is dist.Independent:
        base = _events(distribution.base_dist)
        return None if base is None else _join_events(base, distribution.reinterpreted_batch_ndims)
    if kind in (dist.MixtureSameFamily, dist.MixtureGeneral):
        return _mixture(distribution, batch)
    return None


def _mixture(distribution: Any, batch: tuple[int, ...]) -> GaussianMixture | None:
    """A mixture in one distribution: its components, which may be mixtures themselves."""
    rank = len(batch)
    if hasattr(distribution, "component_distribution"):
        parts = _events(distribution.component_distribution)
    else:
        events = [_events(part) for part in distribution.component_distributions]
        if any(part is None for part in events) or len({part.means.shape for part in events}) > 1:  # ty: ignore
            return None
        parts = jax.tree.map(lambda *leaves: jnp.stack(leaves, rank), *events)
    weights = _log_weights(distribution.mixing_distribution)
    if parts is None or weights is None:
        return None
    weights = jnp.broadcast_to(weights, (*batch, weights.shape[-1]))[..., None] + parts.log_weights

    def merged(leaf: Array) -> Array:
        return leaf.reshape(*batch, -1, *leaf.shape[rank + 2 :])

    return GaussianMixture(merged(weights), merged(parts.means), merged(parts.covariances))


def _log_weights(mixing: Any) -> Array | None:
    import numpyro.distributions as dist

    if type(mixing) is dist.ExpandedDistribution:
        base = _log_weights(mixing.base_dist)
        return None if base is None else jnp.broadcast_to(base, (*mixing.batch_shape, base.shape[-1]))
    if type(mixing).__name__ == "CategoricalProbs":
        return jnp.log(mixing.probs / jnp.sum(mixing.probs, -1, keepdims=True))
    return jax.nn.log_softmax(mixing.logits) if type(mixing).__name__ == "CategoricalLogits" else None


def _join_events(events: GaussianMixture, rank: int) -> GaussianMixture | None:
    """Independent mixtures side by side: the last `rank` batch dimensions become coordinates."""
    *shape, count = events.log_weights.shape
    batch, copies = tuple(shape[: len(shape) - rank]), math.prod(shape[len(shape) - rank :])
    size, power = events.means.shape[-1], (count**copies if count > 1 else 1)
    if too_large(power, copies * size):
        return None
    chosen = np.indices((count,) * copies).reshape(copies, power).T if count > 1 else None

    def pick(leaf: Array) -> Array:
        flat = leaf.reshape(*batch, copies, *leaf.shape[len(shape) :])
        if count == 1:
            return jnp.moveaxis(flat, len(batch) + 1, len(batch))
        return flat[(*(slice(None),) * len(batch), np.arange(copies), chosen)]

    apart = jnp.eye(copies)[:, None, :, None] * pick(events.covariances)[..., :, :, None, :]
    return GaussianMixture(
        jnp.sum(pick(events.log_weights), -1),
        pick(events.means).reshape(*batch, power, copies * size),
        apart.reshape(*batch, power, copies * size, copies * size),
    )
