"""Samplers whose state is a position with the log-density and the score found there."""

from jaxtyping import Array, Float

from gmdsl.inference.kernels.scored_point import ScoredPoint, scored_point
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.target import Target


class GradientSampler(Sampler):
    """A sampler that carries the score at its position from step to step. Subclasses give `step`."""

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> ScoredPoint:
        del key
        return scored_point(target, x)

    def position(self, state: ScoredPoint) -> Float[Array, " dim"]:
        return state.position
