r"""Gaussian mixtures in numbers, $\sum_k w_k\, N(x; m_k, C_k)$: weights, means and covariances.

A conditional with mean $A u + b$ and covariance S extends a Gaussian over u: the mean by $A m + b$,
the covariance by the blocks $A C$ and $A C A^T + S$.

Reference:
    Roweis and Ghahramani, *A unifying review of linear Gaussian models*, Neural Computation, 1999.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from gmdsl.core.jaxprs.affine import AFFINE, CONSTANT, affinity
from gmdsl.core.numerics import safe_logsumexp

MOST_COMPONENTS = 4096  # of a product of mixtures; more are not expanded
MOST_NUMBERS = 2**26  # in the covariances of one mixture


class GaussianMixture(eqx.Module):
    """Weights, means and covariances of a mixture of Gaussians over one flat vector.

    Attributes:
        log_weights: logarithms of the weights, which add to one.
        means: one row per component.
        covariances: one matrix per component.
    """

    log_weights: Float[Array, " components"]
    means: Float[Array, "components dim"]
    covariances: Float[Array, "components dim dim"]

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """The logarithm of the density at a point."""
        return safe_logsumexp(self.log_terms(x))

    def log_terms(self, x: Float[Array, " dim"]) -> Float[Array, " components"]:
        """The terms log w_k + log N(x; m_k, C_k)."""
        lower = jnp.linalg.cholesky(self.covariances)
        white = solve_triangular(lower, (x - self.means)[..., None], lower=True)[..., 0]
        halved = jnp.sum(jnp.log(jnp.diagonal(lower, axis1=-2, axis2=-1)), -1)
        return self.log_weights - 0.5 * jnp.sum(white**2, -1) - halved - 0.5 * x.size * math.log(2.0 * math.pi)

    def marginal(self, keep: np.ndarray) -> "GaussianMixture":
        """The mixture of some coordinates."""
        at: Any = keep
        if len(keep) and np.array_equal(keep, np.arange(keep[0], keep[0] + len(keep))):
            at = slice(int(keep[0]), int(keep[0]) + len(keep))  # the gradient of a slice is far cheaper
        return GaussianMixture(self.log_weights, self.means[:, at], self.covariances[:, at][:, :, at])

    def conditional(self, where: np.ndarray, x: Float[Array, " given"]) -> "GaussianMixture":
        """The mixture of the other coordinates given the values of some."""
        rest = np.setdiff1d(np.arange(self.means.shape[1]), where)
        known = self.marginal(where)
        across = self.covariances[:, rest][:, :, where]
        gain = jnp.swapaxes(jnp.linalg.solve(known.covariances, jnp.swapaxes(across, 1, 2)), 1, 2)
        terms = known.log_terms(x)
        return GaussianMixture(
            terms - jax.nn.logsumexp(terms),
            self.means[:, rest] + jnp.einsum("kij,kj->ki", gain, x - known.means),
            self.covariances[:, rest][:, :, rest] - gain @ jnp.swapaxes(across, 1, 2),
        )


def nothing() -> GaussianMixture:
    """The mixture over no coordinates: one component of weight one."""
    return GaussianMixture(jnp.zeros(1), jnp.zeros((1, 0)), jnp.zeros((1, 0, 0)))


def extended(
    joint: GaussianMixture, conditional: Callable[[Array], GaussianMixture | None], reads: int
) -> GaussianMixture | None:
    """The joint of a mixture over u and of a variable with a conditional given the first `reads` coordinates of u.

    Args:
        joint: over u.
        conditional: from values of those coordinates to a mixture (or None when it is no Gaussian).
        reads: how many coordinates it takes.

    Returns:
        The mixture over (u, x); None when means are not affine, or weights or covariances not constant.
    """
    zero = jnp.zeros(reads)
    states = affinity(conditional, zero)
    if states is None or {states.log_weights, states.covariances} != {CONSTANT}:
        return None
    if states.means not in (AFFINE, CONSTANT):
        return None
    base = conditional(zero)
    if base is None or too_large(len(joint.means) * len(base.means), joint.means.shape[1] + base.means.shape[1]):
        return None
    slope = _slope(conditional, zero, joint.means.shape[1])
    return _pair_components(joint, base, slope)


def _slope(conditional: Callable[[Array], Any], zero: Array, dim: int) -> Array:
    """The matrices A of the means A u + b, padded with zeros where a mean does not read."""
    slope = jax.jacfwd(lambda u: conditional(u).means)(zero)
    return jnp.pad(slope, ((0, 0), (0, 0), (0, dim - zero.size)))


def _pair_components(joint: GaussianMixture, base: GaussianMixture, slope: Array) -> GaussianMixture:
    """All pairs of components of u and of x given u."""
    mean = jnp.einsum("jxu,ku->kjx", slope, joint.means) + base.means
    across = jnp.einsum("jxu,kuv->kjxv", slope, joint.covariances)
    own = jnp.einsum("kjxu,jyu->kjxy", across, slope) + base.covariances
    pairs = mean.shape[:2]
    above = jnp.broadcast_to(joint.covariances[:, None], (*pairs, *joint.covariances.shape[1:]))
    means = jnp.concatenate([jnp.broadcast_to(joint.means[:, None], (*pairs, joint.means.shape[1])), mean], -1)
    covariances = jnp.block([[above, jnp.swapaxes(across, -1, -2)], [across, own]])
    dim = means.shape[-1]
    weights = joint.log_weights[:, None] + base.log_weights
    return GaussianMixture(weights.reshape(-1), means.reshape(-1, dim), covariances.reshape(-1, dim, dim))


def mixed(log_weights: Array, mixtures: list[GaussianMixture]) -> GaussianMixture:
    """The mixture of mixtures over the same coordinates."""
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *mixtures)
    weights = [weight + mixture.log_weights for weight, mixture in zip(log_weights, mixtures, strict=True)]
    return GaussianMixture(jnp.concatenate(weights), joined.means, joined.covariances)


def too_large(components: int, dim: int) -> bool:
    """Whether a mixture would have too many components or numbers to be written out."""
    return components > MOST_COMPONENTS or components * dim * dim > MOST_NUMBERS
