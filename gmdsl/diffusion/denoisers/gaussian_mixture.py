r"""Gaussian mixtures under noise, in closed form.

Data $\sum_k w_k N(m_k, C_k)$ noised to $\alpha x_0 + \sigma \epsilon$ have the law
$\sum_k w_k N(\alpha m_k, \alpha^2 C_k + \sigma^2 I)$. With $C_k = U \Lambda U^T$ computed once, every
time costs two products with $U$. A coordinate that is not noised keeps $\alpha = 1$, $\sigma = 0$.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from gmdsl.core.runtime.precision import full_precision
from gmdsl.diffusion.denoiser import Denoiser
from gmdsl.diffusion.process import Process, Scalar


class Component(NamedTuple):
    """One point seen from each component: log-density with weight, score, expected clean datum."""

    log_density: Float[Array, " k"]
    score: Float[Array, "k dim"]
    denoised: Float[Array, "k dim"]


class GaussianMixtureDenoiser(Denoiser):
    """A mixture of Gaussians.

    Attributes:
        log_weights: logarithms of the weights, which add to one.
        means: one row per component.
        spectrum: eigenvalues of the covariances.
        basis: eigenvectors, in columns.
        definite: whether no covariance is singular.
    """

    log_weights: Float[Array, " k"]
    means: Float[Array, "k dim"]
    spectrum: Float[Array, "k dim"]
    basis: Float[Array, "k dim dim"]
    definite: bool = eqx.field(static=True)

    def __init__(self, log_weights: Array, means: Array, covariances: Array):
        self.log_weights, self.means = jnp.asarray(log_weights), jnp.asarray(means)
        self.spectrum, self.basis = jnp.linalg.eigh(covariances)
        self.definite = isinstance(self.spectrum, Tracer) or bool(np.all(np.asarray(self.spectrum) > 0))

    @property
    def zero_is_finite(self) -> bool:
        return self.definite

    @property
    def width(self) -> Array:
        """The least standard deviation of any component in any direction."""
        return jnp.sqrt(jnp.maximum(jnp.min(self.spectrum), 0.0))

    @full_precision
    def components(self, process: Process, x: Array, t: Scalar) -> Component:
        """The point x at time t seen from each component."""
        alpha, noise = process.alpha(t), process.sigma(t) ** 2
        along = jnp.einsum("kij,ki->kj", self.basis, x - alpha * self.means)
        variance = alpha**2 * self.spectrum + noise
        pull = along / variance
        quadratic = jnp.sum(along * pull + jnp.log(variance), axis=-1)
        log_density = self.log_weights - 0.5 * (quadratic + x.shape[-1] * math.log(2.0 * math.pi))
        score = -jnp.einsum("kij,kj->ki", self.basis, pull)
        clean = self.means + alpha * jnp.einsum("kij,kj->ki", self.basis, self.spectrum * pull)
        return Component(log_density, score, clean)

    def log_density(self, process: Process, x: Array, t: Scalar) -> Scalar:
        return logsumexp(self.components(process, x, t).log_density)

    @full_precision
    def score(self, process: Process, x: Array, t: Scalar) -> Array:
        found = self.components(process, x, t)
        return jax.nn.softmax(found.log_density) @ found.score

    @full_precision
    def denoise(self, process: Process, x: Array, t: Scalar) -> Array:
        found = self.components(process, x, t)
        return jax.nn.softmax(found.log_density) @ found.denoised

    def frozen(self, process: Process, t: Scalar, declared: Any) -> Any:
        from gmdsl.graph.factors.gaussian_mixture import GaussianMixtureFactor

        alpha, noise = process.alpha(t), process.sigma(t) ** 2
        spectrum = alpha**2 * self.spectrum + noise
        return GaussianMixtureFactor(declared, self.log_weights, alpha * self.means, spectrum, self.basis)

    @full_precision
    def earlier(self, process: Process, x: Array, s: Scalar, t: Scalar, declared: Any) -> Any:
        from gmdsl.graph.factors.gaussian_mixture import GaussianMixtureFactor

        seen, step = self.components(process, x, t), process.transition(s, t)
        before = process.alpha(s) ** 2 * self.spectrum + process.sigma(s) ** 2
        after = step.scale**2 * before + step.std**2
        along = jnp.einsum("kij,ki->kj", self.basis, x - process.alpha(t) * self.means)
        pulled = jnp.einsum("kij,kj->ki", self.basis, step.scale * before / after * along)
        means = process.alpha(s) * self.means + pulled
        log_weights = jax.nn.log_softmax(seen.log_density)
        return GaussianMixtureFactor(declared, log_weights, means, before * step.std**2 / after, self.basis)
