r"""Tails of a reference against those of its target: can importance weights between them have a variance?

From particles at the end of a path, rays are followed along every coordinate and away from the mean. Where
$p \cdot p / q$ grows along them, $\int p^2 / q$ has no end: the mean weight is made by regions that hardly any particle
of the reference reaches. No statistic of the weights at hand can show it.

Reference:
    Owen, *Monte Carlo theory, methods and examples*, chapter 9, 2013 (weights without a variance).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.flat_path import FlatPath
from gmdsl.inference.path import Population
from gmdsl.inference.weights import normalized_weights

RAYS = 32  # particles that rays start from
AXES = 32  # coordinates looked along at most
STEPS = (3.0, 6.0, 12.0)  # standard deviations along a ray
SHARE = 0.25  # of rays of one direction that must grow
GROWTH = 1.0  # nats that count


def outgrown(path: FlatPath, population: Population) -> str:
    """Where the target has heavier tails than the reference, in words; empty where it does not, or nothing is known."""
    x, weight = np.asarray(population.position, float), normalized_weights(np.asarray(population.log_weight, float))
    moving = [i for i, states in enumerate(path.reference.states) if states is None]
    if not moving or not weight.any() or not np.isfinite(x[weight > 0]).all():
        return ""
    x = np.where(weight[:, None] > 0, x, 0.0)
    mean = weight @ x
    spread = np.sqrt(weight @ (x - mean) ** 2)
    starts = x[np.random.default_rng(0).choice(len(x), RAYS, p=weight)]
    axes = np.unique(np.linspace(0, len(moving) - 1, AXES).astype(int))
    names, shares = [], []
    for axis in np.array(moving)[axes]:
        away = np.zeros(x.shape[1])
        away[axis] = spread[axis]
        names.append(next(slot.name for slot in path.reference.slots if slot.start <= axis < slot.stop))
        shares.append(max(_share_growing(path, starts, np.broadcast_to(s * away, starts.shape)) for s in (1.0, -1.0)))
    radial = np.zeros_like(starts)
    radial[:, moving] = (starts - mean)[:, moving]
    shares.append(_share_growing(path, starts, radial))
    names.append("rays from the mean")
    return ", ".join(dict.fromkeys(name for name, share in zip(names, shares, strict=True) if share > SHARE))


def _share_growing(path: FlatPath, starts: np.ndarray, away: np.ndarray) -> float:
    """The share of rays along which the second moment of the weights grows."""
    dtype = jnp.zeros(0).dtype
    return float(_grow(path, jnp.asarray(starts, dtype), jnp.asarray(away, dtype)).mean())


@jax.jit
def _grow(path: FlatPath, starts: Float[Array, "rays dim"], away: Float[Array, "rays dim"]) -> Array:
    """Whether p p / q and p / q both grow along each ray, and faster the farther out."""

    def one(start: Array, away: Array) -> Array:
        def at(step: float) -> tuple[Array, Array]:
            x = start + step * away
            ratio = path.log_ratio(x)
            return path.at(jnp.ones(())).log_density(x) + ratio, ratio

        moments, ratios = zip(*map(at, STEPS), strict=True)
        steps = [(moments[i + 1] - moments[i], ratios[i + 1] - ratios[i]) for i in range(len(STEPS) - 1)]
        grown = [(moment > GROWTH) & (ratio > GROWTH) & jnp.isfinite(moment + ratio) for moment, ratio in steps]
        return functools.reduce(jnp.logical_and, grown)

    return jax.vmap(one)(starts, away)
