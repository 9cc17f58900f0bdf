r"""Metropolis-adjusted Langevin: a Langevin step as a proposal, corrected by Hastings' ratio.

$x' = x + \frac{\Delta t}{2} M^{-1} \nabla\log\pi(x) + \sqrt{\Delta t}\, M^{-1/2} z$, accepted with probability
$\min\{1, \pi(x')\, q(x \mid x') / \pi(x)\, q(x' \mid x)\}$.

Reference:
    Roberts and Tweedie, 1996; Roberts and Rosenthal, *Optimal scaling of discrete approximations to
    Langevin diffusions*, 1998 (acceptance 0.574).
"""

from typing import Any, ClassVar

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


class MALA(GradientSampler):
    r"""The Metropolis-adjusted Langevin algorithm.

    Attributes:
        step_size: the $\Delta t$ of the equation, in squared units of the (estimated) scales.
        target_accept: acceptance rate that warm-up aims at.
        inverse_mass: variances (or covariance) of the target; estimated when None.
        metric: the rule that estimates it.
    """

    step_size: float = 0.5
    target_accept: float = 0.574
    inverse_mass: Any = None
    metric: Adapter = DiagonalMetric()

    reversible: ClassVar[bool] = True

    def __check_init__(self) -> None:
        check_step(self)

    @property
    def adapts(self) -> Any:
        return (self.metric, StepSize(self.target_accept))

    def step(self, key: Array, target: Target, state: ScoredPoint) -> tuple[ScoredPoint, Stats]:
        key_move, key_accept = split(key)
        scales, noise = root(self.inverse_mass), standard_normal(key_move, state.position.shape, state.position.dtype)
        size = jnp.sqrt(self.step_size)
        drift = 0.5 * size * scaled_score(scales, state.score)
        proposal = scored_point(target, state.position + size * scaled(scales, drift + noise))
        # The noise that would bring the proposal back to the state.
        back = drift + noise + 0.5 * size * scaled_score(scales, proposal.score)
        log_ratio = proposal.log_density - state.log_density + 0.5 * (jnp.dot(noise, noise) - jnp.dot(back, back))
        new, stats = metropolis(key_accept, state, proposal, log_ratio)
        return new, {**stats, "lp": new.log_density, "nan_evaluations": is_nan(proposal)}
