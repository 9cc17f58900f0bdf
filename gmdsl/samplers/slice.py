r"""Slice sampling along random directions: a level below the density is drawn, then a point among those above it.

$\log u = \log\pi(x) - e$ with $e \sim \mathrm{Exp}(1)$; on the line $x + t d$, $d \sim N(0, M^{-1})$, an interval of
width w around 0 is stepped out until both ends lie below the level, then shrunk towards 0 until a point in it lies
above. No gradient, no rejection, and no step size to tune: only the scale of the directions is estimated.

Reference:
    Neal, *Slice sampling*, Annals of Statistics 2003, figures 3 and 5.
"""

from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.metric import DiagonalMetric
from gmdsl.core.errors import SpecError, check_positive
from gmdsl.core.random.normal import standard_normal
from gmdsl.core.random.threefry import split
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.kernels.metric import root, scaled
from gmdsl.inference.kernels.slice_on_line import slice_on_line
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class SliceState(NamedTuple):
    """Position and its log-density."""

    position: Float[Array, " dim"]
    log_density: Float[Array, ""]


class Slice(Sampler):
    """Slice sampling along a random direction in each step.

    Attributes:
        width: of the first interval, in units of the (estimated) standard deviations.
        max_steps_out: how often the interval may be widened, both sides together.
        inverse_mass: variances (or covariance) of the directions; estimated when None.
        metric: the rule that estimates it; `gm.adapt.DenseMetric()` for correlated targets.
    """

    width: float = 2.0
    max_steps_out: int = 20
    inverse_mass: Any = None
    metric: Adapter = DiagonalMetric()

    reversible: ClassVar[bool] = True

    def __check_init__(self) -> None:
        check_positive(self, "width")
        if not isinstance(self.max_steps_out, Integral) or self.max_steps_out < 1:
            raise SpecError(f"Slice(max_steps_out={self.max_steps_out!r}): a whole number above 0 is needed. Try 20.")

    @property
    def adapts(self) -> Any:
        return (self.metric,)

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> SliceState:
        return SliceState(x, target.log_density(x))

    def position(self, state: SliceState) -> Float[Array, " dim"]:
        return state.position

    def step(self, key: Array, target: Target, state: SliceState) -> tuple[SliceState, Stats]:
        key_level, key_direction, key_place, key_share, key_shrink = split(key, 5)
        dtype = state.position.dtype
        noise = standard_normal(key_direction, state.position.shape, dtype)
        direction = scaled(root(self.inverse_mass), noise)
        level = state.log_density - jax.random.exponential(key_level, dtype=dtype)

        def height(t: Array) -> Array:
            return target.log_density(state.position + t * direction)

        at = slice_on_line((key_place, key_share, key_shrink), height, level, self.width, self.max_steps_out)
        position = state.position + at.t * direction  # the chain stays where the interval has shrunk to rounding
        new = SliceState(position, jnp.where(at.found, at.height, state.log_density))
        return new, {"lp": new.log_density, "n_steps": at.count, "nan_evaluations": at.broken}
