"""A position with a velocity: the state of the samplers that keep their direction from one step to the next."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmdsl.inference.kernels.scored_point import ScoredPoint


class Phase(NamedTuple):
    """A position, its log-density and its score, and the velocity there.

    The velocity is in the standard coordinates of the metric, so that its law does not change when the metric does.
    """

    position: Float[Array, " dim"]
    velocity: Float[Array, " dim"]
    log_density: Float[Array, ""]
    score: Float[Array, " dim"]


def phase(point: ScoredPoint, velocity: Float[Array, " dim"]) -> Phase:
    """The point with a velocity."""
    return Phase(point.position, velocity, point.log_density, point.score)


def point_of(state: Phase) -> ScoredPoint:
    """The point without its velocity."""
    return ScoredPoint(state.position, state.log_density, state.score)


def turned(state: Phase) -> Phase:
    """The same position, in the opposite direction."""
    return state._replace(velocity=-state.velocity)


def bounced(state: Phase, proposal: Phase) -> tuple[Phase, Bool[Array, ""]]:
    """The proposal; where its log-density or score is not finite, the state turned round. And whether it was so.

    Samplers that reject nothing move by it: the end of the support is a wall, and NaN is one too.
    """
    lost = ~(jnp.isfinite(proposal.log_density) & jnp.isfinite(proposal.score).all())
    return jax.tree.map(lambda a, b: jnp.where(lost, a, b), turned(state), proposal), lost
