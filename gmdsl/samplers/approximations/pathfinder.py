r"""Pathfinder: the best of the Gaussians that L-BFGS passes on its way to a mode.

A climb from a random start passes the body of the distribution before it reaches a mode that may lie far from it.
At every step of the way the curvature that L-BFGS has gathered gives a Gaussian (`low_rank`); the one with the highest
evidence lower bound, $E_q[\log p(x) - \log q(x)]$, is kept. Several paths make a mixture, and its draws are resampled
by their importance weights. Where the paper weighs a draw by the path it came from, here it is weighed by the whole
mixture, which is steadier, and of which the mean weight is the normalising constant as well.

Reference:
    Zhang, Carpenter, Gelman, Vehtari, *Pathfinder: parallel quasi-Newton variational inference*, JMLR 23, 2022;
    Veach and Guibas, *Optimally combining sampling techniques*, 1995 (weights of a mixture).
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
from gmdsl.inference.target import Target
from gmdsl.samplers.approximations.fitting.climb import Climb, check_counts, climb, no_start, starts
from gmdsl.samplers.approximations.fitting.gaussians import weight
from gmdsl.samplers.approximations.fitting.labels import labels
from gmdsl.samplers.approximations.fitting.low_rank import LowRankGaussian, forgotten, gaussian, remembered


class Pathfinder(Generator):
    """Draws of the Gaussians found along several climbs, resampled by their weights.

    Attributes:
        paths: climbs; one is the single-path form.
        resample: whether draws are resampled by their weights; else they are those of the mixture.
        estimate: draws per estimate of the evidence lower bound.
        pairs: steps that L-BFGS remembers.
        steps: of a climb at most.
        fitted: the Gaussians, their bounds and where on its way each was found; filled by `prepare`.
    """

    paths: int = 8
    resample: bool = True
    estimate: int = 25
    pairs: int = 6
    steps: int = 200
    fitted: Any = None

    bias: ClassVar[str | None] = "draws of an approximation: Gaussians found on the way to a mode"

    def __check_init__(self) -> None:
        check_counts(self, "paths", "estimate", "pairs", "steps")

    @property
    def resamples(self) -> bool:
        return self.resample

    def prepare(self, key: Array, target: Any, report: Any) -> "Prepared[Pathfinder]":
        del report
        if self.fitted is not None:
            return Prepared(self, self._found(target))
        some, fitted = _found(*strip((self, target)), key)
        if not bool(some):
            raise no_start("sample(..., Pathfinder())", self.paths)
        if not bool(jnp.isfinite(fitted[1]).any()):
            raise SpecError(
                "sample(..., Pathfinder()): no path passed a Gaussian whose draws have a density: the target is not"
                " concave anywhere on the way, or its support is cut. Declare the support, or take more paths."
            )
        ready = eqx.tree_at(lambda s: s.fitted, self, fitted, is_leaf=lambda leaf: leaf is None)
        return Prepared(ready, ready._found(target))

    def draw(self, key: Array, target: Any) -> tuple[Float[Array, " dim"], Stats]:
        q, bounds, _ = self.fitted
        key_path, key_draw = jax.random.split(key)
        usable = jnp.where(jnp.isfinite(bounds), 0.0, -jnp.inf)
        path = jax.random.categorical(key_path, usable)
        x = jax.tree.map(lambda a: a[path], q).at(jax.random.normal(key_draw, q.mean.shape[1:], q.mean.dtype))
        each = jax.vmap(lambda q: q.log_density(x))(q)
        log_q = jax.scipy.special.logsumexp(jnp.where(jnp.isfinite(usable), each, -jnp.inf))
        return x, {**weight(log_q - jnp.log(jnp.isfinite(usable).sum()), target.log_density(x)), "path": path}

    def _found(self, target: Any) -> dict[str, Any]:
        q, bounds, step = self.fitted
        return {
            "coordinate": np.array(labels(target)),
            "mean": np.asarray(q.mean),
            "elbo": np.asarray(bounds),
            "step": np.asarray(step),
        }


@functools.partial(jax.jit, static_argnums=0)
def _found(skeleton: Skeleton, arrays: Any, key: Array) -> Any:
    """Whether there is a start; and for each path its best Gaussian, the bound there and the step."""
    settings, target = skeleton.fill(arrays)
    key_start, key_bound = jax.random.split(key)
    x, some = starts(key_start, target, settings.paths)
    ways = jax.vmap(lambda x: climb(target.log_density, x, settings.steps, keep=True))(x)
    keys = jax.random.split(key_bound, settings.paths)
    return some, jax.vmap(lambda key, way: _best(key, target, way, settings))(keys, ways)


def _best(key: Array, target: Target, way: Climb, settings: Pathfinder) -> tuple[LowRankGaussian, Array, Array]:
    """The Gaussian with the highest bound along one way."""

    def bound(q: LowRankGaussian, key: Array) -> Array:
        noise = jax.random.normal(key, (settings.estimate, q.mean.size), q.mean.dtype)
        x = jax.vmap(q.at)(noise)
        log_weight = jax.vmap(target.log_density)(x) - jax.vmap(q.log_density)(x)
        found = jnp.mean(log_weight)
        return jnp.where(jnp.isfinite(found), found, -jnp.inf)

    def step(i: Array, at: Any) -> Any:
        history, best, height, where = at
        history = remembered(history, way.way[i] - way.way[i - 1], way.scores[i - 1] - way.scores[i])
        q = gaussian(history, way.way[i], way.scores[i])
        new = bound(q, jax.random.fold_in(key, i))
        better = new > height
        best = jax.tree.map(lambda a, b: jnp.where(better, a, b), q, best)
        return history, best, jnp.where(better, new, height), jnp.where(better, i, where)

    history = forgotten(way.x.size, settings.pairs, way.x.dtype)
    first = gaussian(history, way.way[0], way.scores[0])
    begin = (history, first, jnp.asarray(-jnp.inf, way.x.dtype), jnp.int32(0))
    _, best, height, where = jax.lax.fori_loop(1, way.count, step, begin)
    return best, height, where
