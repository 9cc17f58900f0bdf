r"""Unadjusted Langevin: $x_{t+\Delta t} = x_t + \frac{\Delta t}{2} \nabla \log \pi(x_t) + \sqrt{\Delta t}\, e_t$.

Nothing is rejected, so the law of the chain differs from the target by a bias of order $\Delta t$; on
$N(\mu, s^2)$ its stationary variance is $s^2 / (1 - \Delta t / 4 s^2)$. A move to a point where the log-density or
the score is NaN is not made.

Reference:
    Roberts and Tweedie, *Exponential convergence of Langevin distributions and their discrete
    approximations*, 1996.
"""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.density import Target
from gmdsl.core.normal import standard_normal
from gmdsl.core.point import ScoredPoint, choose, is_nan, scored_point
from gmdsl.core.sampler import Sampler, Stats, check_step


class Langevin(Sampler):
    r"""Langevin dynamics without a Metropolis correction.

    Attributes:
        step_size: the $\Delta t$ of the equation, in squared units of x. It is not adapted.
    """

    step_size: float = 0.01
    bias: ClassVar[str | None] = "unadjusted: the stationary law differs from the target by O(step_size)"

    def __check_init__(self) -> None:
        check_step(self)

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> ScoredPoint:
        return scored_point(target, x)

    def position(self, state: ScoredPoint) -> Float[Array, " dim"]:
        return state.position

    def step(self, key: Array, target: Target, state: ScoredPoint) -> tuple[ScoredPoint, Stats]:
        x = state.position
        noise = standard_normal(key, x.shape, x.dtype)
        proposal = scored_point(target, x + 0.5 * self.step_size * state.score + jnp.sqrt(self.step_size) * noise)
        lost = jnp.isnan(proposal.log_density) | jnp.isnan(proposal.score).any()
        new = choose(lost, state, proposal)
        diverging = lost | ~jnp.isfinite(proposal.log_density)
        return new, {"lp": new.log_density, "diverging": diverging, "nan_evaluations": is_nan(proposal)}
