r"""Importance sampling: weights $p(x)/q(x)$ at exact draws of the reference; a path of one step without moves.

Its mean weight is unbiased for $Z_p / Z_q$, and its variance is that of the weights: use it where the reference is
close to the target, such as a fitted guide.

Reference:
    Kahn, Marshall, *Methods of reducing sample size in Monte Carlo computations*, 1953.
"""

from numbers import Integral

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.inference.path import PathSampler, PathTarget, Population


class ImportanceSampling(PathSampler):
    """Weighted draws of the reference.

    Attributes:
        particles: how many.
    """

    particles: int = 10_000

    def __check_init__(self) -> None:
        if not isinstance(self.particles, Integral) or self.particles < 2:
            raise SpecError(f"ImportanceSampling(particles={self.particles!r}): at least 2 are needed.")

    def run(self, key: Array, path: PathTarget) -> Population:
        x = jax.vmap(path.draw)(jax.random.split(key, self.particles))
        log_weight = jax.vmap(path.log_ratio)(x)
        curve = jnp.stack([jnp.zeros(()), logsumexp(log_weight) - jnp.log(self.particles)])
        broken = jnp.mean(jax.vmap(path.is_broken)(x).astype(curve.dtype))
        return Population(x, log_weight, jnp.array([0.0, 1.0]), curve, jnp.full(1, jnp.nan), broken=broken)
