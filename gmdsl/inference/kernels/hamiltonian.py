r"""Trajectories of a Hamiltonian $H(x, r) = -\log\pi(x) + \tfrac12 r^\top r$, in the standard coordinates of a metric.

Reference:
    Neal, *MCMC using Hamiltonian dynamics*, 2011.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gmdsl.inference.kernels.metric import Root, kinetic, scaled, scaled_score
from gmdsl.inference.kernels.metropolis import metropolis
from gmdsl.inference.kernels.scored_point import ScoredPoint, is_nan, scored_point
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target

DIVERGENCE = 1000.0  # energy error above which a trajectory is called divergent, as in Stan

type Moving = tuple[ScoredPoint, Float[Array, " dim"]]


def leapfrog(target: Target, root: Root, step_size: Any, state: ScoredPoint, momentum: Float[Array, " dim"]) -> Moving:
    """One step of the velocity Verlet integrator: half kick, drift, half kick."""
    momentum = momentum + 0.5 * step_size * scaled_score(root, state.score)
    state = scored_point(target, state.position + step_size * scaled(root, momentum))
    return state, momentum + 0.5 * step_size * scaled_score(root, state.score)


def trajectory(
    target: Target, root: Root, step_size: Any, steps: int | Int[Array, ""], start: Moving
) -> tuple[Moving, Bool[Array, ""]]:
    """Some leapfrog steps, and whether one met a NaN that is a hole in the target.

    A trajectory that has flown off already overflows to NaN; that is a divergence and no hole.
    """
    lowest = start[0].log_density - DIVERGENCE

    def move(_: Any, at: Any) -> Any:
        (point, momentum), broken = at
        new, momentum = leapfrog(target, root, step_size, point, momentum)
        return (new, momentum), broken | (is_nan(new) & (point.log_density > lowest))

    return jax.lax.fori_loop(0, steps, move, (start, jnp.zeros((), bool)))


def accepted(key: Array, start: Moving, end: Moving, broken: Bool[Array, ""]) -> tuple[ScoredPoint, Stats]:
    """The end of a trajectory, or its start, by the difference of energies; with the stats of Hamiltonian samplers."""
    before = kinetic(start[1]) - start[0].log_density
    after = kinetic(end[1]) - end[0].log_density
    new, stats = metropolis(key, start[0], end[0], jnp.where(broken, jnp.nan, before - after))
    more = {
        "lp": new.log_density,
        "energy": jnp.where(stats["accepted"], after, before),
        "energy_error": jnp.where(stats["accepted"], after - before, 0.0),
        "diverging": ~(after - before < DIVERGENCE),
    }
    return new, {**stats, **more, "nan_evaluations": broken}
