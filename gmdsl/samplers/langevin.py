r"""Unadjusted Langevin: $x_{t+\Delta t} = x_t + \frac{\Delta t}{2} \nabla \log \pi(x_t) + \sqrt{\Delta t}\, e_t$.

Nothing is rejected, so the law of the chain differs from the target by a bias of order $\Delta t$; on
$N(\mu, s^2)$ its stationary variance is $s^2 / (1 - \Delta t / 4 s^2)$. A move to a point where the log-density or
the score is NaN is not made.

Reference:
    Roberts and Tweedie, *Exponential convergence of Langevin distributions and their discrete
    approximations*, 1996.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmdsl.core.random.keys import step_key
from gmdsl.core.random.normal import standard_normal
from gmdsl.inference.kernels.gradient_sampler import GradientSampler
from gmdsl.inference.kernels.scored_point import ScoredPoint, choose, is_nan, scored_point
from gmdsl.inference.sampler import check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class Langevin(GradientSampler):
    r"""Langevin dynamics without a Metropolis correction.

    Attributes:
        step_size: the $\Delta t$ of the equation, in squared units of x. It is not adapted.
    """

    step_size: float = 0.01
    bias: ClassVar[str | None] = "unadjusted: the stationary law differs from the target by O(step_size)"

    def __check_init__(self) -> None:
        check_step(self)

    def step(self, key: Array, target: Target, state: ScoredPoint) -> tuple[ScoredPoint, Stats]:
        proposal = scored_point(target, self._propose(key, state))
        lost = _lost(proposal)
        new = choose(lost, state, proposal)
        diverging = lost | ~jnp.isfinite(proposal.log_density)
        return new, {"lp": new.log_density, "diverging": diverging, "nan_evaluations": is_nan(proposal)}

    def advance(
        self, key: Array, target: Target, x: Float[Array, " dim"], steps: int
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        """The same steps with one evaluation each, at their beginning: nothing is asked of the score at the end.

        The last step is checked by the log-density alone, half an evaluation, and is not made where that is not
        finite. From a start without a score the noise alone moves.
        """

        def step(i: Array, at: tuple[Float[Array, " dim"], ScoredPoint]) -> tuple[Float[Array, " dim"], ScoredPoint]:
            here = scored_point(target, at[0])
            point = choose(_lost(here), at[1], here)
            return self._propose(step_key(key, i + 1), point), point

        start = ScoredPoint(x, jnp.zeros((), x.dtype), jnp.zeros_like(x))
        end, point = jax.lax.fori_loop(0, steps, step, (x, start))
        return jnp.where(jnp.isfinite(target.log_density(end)), end, point.position), jnp.full((), jnp.nan, x.dtype)

    def _propose(self, key: Array, point: ScoredPoint) -> Float[Array, " dim"]:
        """Where the equation leads from a point."""
        x = point.position
        noise = standard_normal(key, x.shape, x.dtype)
        return x + 0.5 * self.step_size * point.score + jnp.sqrt(self.step_size) * noise


def _lost(point: ScoredPoint) -> Bool[Array, ""]:
    """Whether a move to this point is not made."""
    return jnp.isnan(point.log_density) | jnp.isnan(point.score).any()
