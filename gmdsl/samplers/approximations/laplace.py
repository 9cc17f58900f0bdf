r"""Laplace's approximation: the Gaussian with the mode and the curvature of a density.

$$q = N(\hat x, (-\nabla^2 \log p(\hat x))^{-1})$$

It is made in unconstrained coordinates, so that its draws obey every constraint. It is exact for a Gaussian and good
for a posterior of many data; it misses skewness, other modes, and whatever a hierarchy does far from its mode.

Reference:
    Tierney and Kadane, *Accurate approximations for posterior moments and marginal densities*, 1986;
    MacKay, *Information Theory, Inference, and Learning Algorithms*, 2003, chapter 27.
"""

import functools
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.inference.generator import Generator, Prepared
from gmdsl.inference.stats import Stats
from gmdsl.samplers.approximations.fitting.climb import Climb, check_counts, climb, elsewhere, highest, no_start, starts
from gmdsl.samplers.approximations.fitting.gaussians import Dense, weighed
from gmdsl.samplers.approximations.fitting.labels import labels, largest

NEWTON = 2  # steps that mend what single precision leaves of the way to the mode


class Laplace(Generator):
    """Independent draws of the Gaussian at the highest mode that was found.

    Attributes:
        resample: whether draws are resampled by their weights; else they are those of the Gaussian.
        starts: climbs to the mode, from random points.
        steps: L-BFGS steps of a climb at most.
        fitted: the Gaussian and where the climbs ended; filled by `prepare`.
    """

    resample: bool = False
    starts: int = 8
    steps: int = 500
    fitted: Any = None

    bias: ClassVar[str | None] = "draws of an approximation: the Gaussian at a mode, in unconstrained coordinates"

    def __check_init__(self) -> None:
        check_counts(self, "starts", "steps")

    @property
    def resamples(self) -> bool:
        return self.resample

    def prepare(self, key: Array, target: Any, report: Any) -> "Prepared[Laplace]":
        del report
        if self.fitted is not None:
            return Prepared(self, self._found(target))
        some, ends, apart, x, arrived, curvature = _climb(*strip((self, target)), key)
        if not bool(some):
            raise no_start("sample(..., Laplace())", self.starts)
        factor = _factor(target, np.asarray(curvature, float), np.asarray(x), bool(arrived))
        q = Dense(x, jnp.asarray(factor, x.dtype))
        fitted = eqx.tree_at(lambda s: s.fitted, self, (q, ends, apart), is_leaf=lambda leaf: leaf is None)
        return Prepared(fitted, fitted._found(target))

    def draw(self, key: Array, target: Any) -> tuple[Float[Array, " dim"], Stats]:
        return weighed(self.fitted[0], key, target)

    def _found(self, target: Any) -> dict[str, Any]:
        q, ends, apart = self.fitted
        return {
            "coordinate": np.array(labels(target)),
            "mean": np.asarray(q.mean),
            "covariance": np.asarray(q.factor @ q.factor.T),
            "end": np.asarray(ends.x),
            "end_log_density": np.asarray(ends.log_density),
            "elsewhere": np.asarray(apart),
        }


@functools.partial(jax.jit, static_argnums=0)
def _climb(skeleton: Skeleton, arrays: Any, key: Array) -> Any:
    """The mode after a few Newton steps, the gain that another would bring, and minus the Hessian there."""
    settings, target = skeleton.fill(arrays)
    x, some = starts(key, target, settings.starts)
    ends: Climb = jax.vmap(lambda x: climb(target.log_density, x, settings.steps))(x)
    best = highest(ends)

    def bend(x: Array) -> Array:
        return -jax.hessian(target.log_density)(x)

    def newton(_: int, at: Any) -> Any:
        x, curvature, gain = at
        step = jnp.linalg.solve(curvature, target.score(x))
        score = target.score(x + step)
        new = jnp.abs(score @ jnp.linalg.solve(curvature, score))
        better = new < gain
        x = jnp.where(better, x + step, x)
        return x, jnp.where(better, bend(x), curvature), jnp.where(better, new, gain)

    x, curvature = ends.x[best], bend(ends.x[best])
    score = target.score(x)
    gain = jnp.abs(score @ jnp.linalg.solve(curvature, score))
    gain = jnp.where(ends.arrived[best], gain, jnp.inf)  # Newton's step from elsewhere leads to any stationary point
    x, curvature, _ = jax.lax.fori_loop(0, NEWTON * ends.arrived[best], newton, (x, curvature, gain))
    return some, ends, elsewhere(target.log_density, ends, best), x, ends.arrived[best], curvature


def _factor(target: Any, curvature: np.ndarray, x: np.ndarray, arrived: bool) -> np.ndarray:
    """The lower triangular root of the inverse of minus the Hessian, or the error that names what is flat."""
    if not arrived:
        raise SpecError(
            f"sample(..., Laplace()): no mode was found; the log-density still rises along {largest(target, x)}."
            " Reparametrise (gm.NonCentred), give it a prior, or take gm.Pathfinder, which needs no mode."
        )
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(curvature)), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(curvature / np.outer(scale, scale))
    least = 10.0 * len(x) * np.finfo(x.dtype).eps
    if not np.isfinite(curvature).all() or values[0] <= least:
        raise SpecError(
            f"sample(..., Laplace()): minus the Hessian at the mode is not positive definite; the density is flat, or"
            f" at a saddle, along {largest(target, vectors[:, 0])}. Give what they have in common a prior, or take"
            " gm.NUTS."
        )
    inverse = (vectors / values) @ vectors.T / np.outer(scale, scale)
    return np.linalg.cholesky(inverse)
