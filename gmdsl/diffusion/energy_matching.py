r"""Learning to denoise from an energy alone: regression on estimates of $E[x_0 \mid x_t]$ that need no data.

The posterior of the clean point is $p(x_0 \mid x_t) \propto \tilde p(x_0)\, N(x_t; \alpha x_0, \sigma^2 I)$, and its
mean is estimated by self-normalised importance sampling from both factors:

* where there is little noise, points $x_0 \sim N(x_t/\alpha, \sigma^2/\alpha^2)$ weighed by $\tilde p(x_0)$;
* where there is much, the points of a weighted population of $\tilde p$, weighed by $N(x_t; \alpha x_0, \sigma^2)$.

Each estimate counts by its effective sample size. A network learns the mean at all levels; its own weighted draws
then join the population, and the regression goes on. The population begins with weighted draws of a wide Gaussian.

Reference:
    Akhound-Sadegh et al., *Iterated denoising energy matching for sampling from Boltzmann densities*, 2024,
    arXiv:2402.06121 (the estimate from the energy, the loop over a buffer of own draws).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.diffusion.process import Process, Scalar
from gmdsl.inference.weights import Particles, effective_size


def posterior_mean(
    target: Any, process: Process, population: Particles, noise: Float[Array, "n dim"], x: Array, t: Scalar
) -> Float[Array, " dim"]:
    """The estimate of the expected clean point.

    Args:
        target: the density.
        process: how noise is added.
        population: weighted points of the target, for much noise.
        noise: standard normal vectors, one per evaluation of the density, for little noise.
        x: the noised point.
        t: its time.
    """
    alpha, sigma = process.alpha(t), process.sigma(t)
    near = (x + sigma * noise) / alpha
    near_weight = _finite(jax.vmap(target.log_density)(near))
    products = population.x @ x  # squares expanded: a matrix product for a batch
    squares = jnp.sum(population.x**2, axis=-1)
    far_weight = population.log_weight + (alpha * products - 0.5 * alpha**2 * squares) / sigma**2
    counts = jnp.stack([effective_size(near_weight), effective_size(far_weight)]) - 0.999
    counts = jnp.where(jnp.isfinite(counts), counts, 0.0)
    means = jnp.stack([jax.nn.softmax(near_weight) @ near, jax.nn.softmax(far_weight) @ population.x])
    means = jnp.where(jnp.isfinite(means), means, 0.0)
    return (counts @ means) / jnp.maximum(jnp.sum(counts), 1e-6)


def _finite(log_weight: Array) -> Array:
    return jnp.where(jnp.isnan(log_weight), -jnp.inf, log_weight)
