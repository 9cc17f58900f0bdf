r"""Particles from the reference to the target of a path: the equation.

Reference:
    Author, *Title*, year.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.inference.path import PathSampler, PathTarget, Population
from gmdsl.inference.weights import log_mean_exp


class MyPathSampler(PathSampler):
    """Weighted draws of the reference.

    Attributes:
        particles: how many.
    """

    particles: int = 1000

    def run(self, key: Array, path: PathTarget) -> Population:
        x = jax.vmap(path.draw)(jax.random.split(key, self.particles))
        log_weight = jax.vmap(path.log_ratio)(x)
        curve = jnp.stack([jnp.zeros(()), log_mean_exp(log_weight)])
        return Population(x, log_weight, jnp.array([0.0, 1.0]), curve, jnp.full(1, jnp.nan))
