r"""Barker's proposal: the sign of each coordinate's move leans towards the score, by a logistic function.

With $w = \epsilon z$, each $w_i$ is kept with probability $1 / (1 + e^{-w_i c_i})$, $c = L^\top \nabla\log\pi(x)$, and
turned round else; then $x' = x + L w$. The gradient never sets the length of a move, so a badly chosen step is forgiven
where MALA stands still.

Reference:
    Livingstone and Zanella, *The Barker proposal: combining robustness and efficiency in gradient-based MCMC*, 2022.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.adapt.metric import DiagonalMetric
from gmdsl.adapt.step_size import StepSize
from gmdsl.core.random.normal import standard_normal
from gmdsl.core.random.threefry import split
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.kernels.gradient_sampler import GradientSampler
from gmdsl.inference.kernels.metric import root, scaled, scaled_score
from gmdsl.inference.kernels.metropolis import metropolis
from gmdsl.inference.kernels.scored_point import ScoredPoint, is_nan, scored_point
from gmdsl.inference.sampler import check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class BarkerMH(GradientSampler):
    """Metropolis-Hastings with Barker's proposal.

    Attributes:
        step_size: size of the moves, in units of the (estimated) standard deviations.
        target_accept: acceptance rate that warm-up aims at.
        inverse_mass: variances (or covariance) of the target; estimated when None.
        metric: the rule that estimates it.
    """

    step_size: float = 0.5
    target_accept: float = 0.4
    inverse_mass: Any = None
    metric: Adapter = DiagonalMetric()

    reversible: ClassVar[bool] = True

    def __check_init__(self) -> None:
        check_step(self)

    @property
    def adapts(self) -> Any:
        return (self.metric, StepSize(self.target_accept))

    def step(self, key: Array, target: Target, state: ScoredPoint) -> tuple[ScoredPoint, Stats]:
        key_size, key_sign, key_accept = split(key, 3)
        size = self.step_size * standard_normal(key_size, (target.dim,), state.position.dtype)
        scales = root(self.inverse_mass)
        slope = scaled_score(scales, state.score)
        keeps = jax.random.logistic(key_sign, (target.dim,), size.dtype) < size * slope
        move = jnp.where(keeps, size, -size)
        proposal = scored_point(target, state.position + scaled(scales, move))
        # log q(x | x') - log q(x' | x); the density of the size is symmetric
        turned = jax.nn.softplus(-move * slope) - jax.nn.softplus(move * scaled_score(scales, proposal.score))
        log_ratio = proposal.log_density - state.log_density + jnp.sum(turned)
        new, stats = metropolis(key_accept, state, proposal, log_ratio)
        return new, {**stats, "lp": new.log_density, "nan_evaluations": is_nan(proposal)}
