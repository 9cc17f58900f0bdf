r"""A data set under noise: each datum becomes a Gaussian, $p_t = \frac1n \sum_i N(\alpha x_i, \sigma^2 I)$.

The exact score of the empirical law; a sampler that follows it to t = 0 returns the data. At t = 0 there
is no density.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from gmdsl.core.runtime.precision import full_precision
from gmdsl.diffusion.denoiser import Denoiser
from gmdsl.diffusion.process import Process, Scalar


class EmpiricalDenoiser(Denoiser):
    """A data set, one row per datum, each of the same weight.

    Attributes:
        points: the data.
    """

    points: Float[Array, "n dim"]

    def log_density(self, process: Process, x: Array, t: Scalar) -> Scalar:
        n, dim = self.points.shape
        constant = math.log(n) + 0.5 * dim * jnp.log(2.0 * math.pi * process.sigma(t) ** 2)
        return logsumexp(self._logits(process, x, t)) - constant

    def score(self, process: Process, x: Array, t: Scalar) -> Array:
        return process.score_of(x, self.denoise(process, x, t), t)

    @full_precision
    def denoise(self, process: Process, x: Array, t: Scalar) -> Array:
        return jax.nn.softmax(self._logits(process, x, t)) @ self.points

    def frozen(self, process: Process, t: Scalar, declared: Any) -> Any:
        from gmdsl.graph.factors.gaussian_mixture import GaussianMixtureFactor

        n, dim = self.points.shape
        spectrum = jnp.full((n, dim), process.sigma(t) ** 2)
        return GaussianMixtureFactor(
            declared, jnp.full(n, -math.log(n)), process.alpha(t) * self.points, spectrum, None
        )

    def earlier(self, process: Process, x: Array, s: Scalar, t: Scalar, declared: Any) -> Any:
        from gmdsl.graph.factors.gaussian_mixture import GaussianMixtureFactor

        bridge = process.bridge(s, t)  # given the datum
        means = bridge.noisy * x + bridge.clean * self.points
        spectrum = jnp.full(self.points.shape, bridge.std**2)
        return GaussianMixtureFactor(declared, jax.nn.log_softmax(self._logits(process, x, t)), means, spectrum, None)

    def _logits(self, process: Process, x: Array, t: Scalar) -> Float[Array, " n"]:
        gap = x - process.alpha(t) * self.points
        return -0.5 * jnp.sum(gap**2, axis=-1) / process.sigma(t) ** 2
