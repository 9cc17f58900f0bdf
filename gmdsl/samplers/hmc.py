r"""Hamiltonian Monte Carlo: leapfrog along $H(x, p) = -\log\pi(x) + \tfrac12 p^\top M^{-1} p$, then accept or reject.

The step is jittered from one transition to the next, so that no trajectory length resonates with
the target (a fixed length of half a period returns every draw to its mirror image).

Reference:
    Duane et al., *Hybrid Monte Carlo*, 1987; Neal, *MCMC using Hamiltonian dynamics*, 2011.
"""

from numbers import Integral
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.adapt.metric import DiagonalMetric
from gmdsl.adapt.step_size import StepSize
from gmdsl.core.errors import SpecError
from gmdsl.core.random.normal import standard_normal
from gmdsl.core.random.threefry import split
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.kernels.gradient_sampler import GradientSampler
from gmdsl.inference.kernels.hamiltonian import accepted, trajectory
from gmdsl.inference.kernels.metric import root
from gmdsl.inference.kernels.scored_point import ScoredPoint
from gmdsl.inference.sampler import check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class HMC(GradientSampler):
    """Hamiltonian Monte Carlo with a fixed number of leapfrog steps.

    Attributes:
        step_size: time of one leapfrog step, in units of the (estimated) scales.
        steps: leapfrog steps in a transition.
        jitter: the step is multiplied by a factor drawn evenly from 1 - jitter to 1 + jitter.
        target_accept: acceptance rate that warm-up aims at.
        inverse_mass: variances (or covariance) of the target; estimated when None.
        metric: the rule that estimates it.
    """

    step_size: float = 0.2
    steps: int = 10
    jitter: float = 0.3
    target_accept: float = 0.95
    inverse_mass: Any = None
    metric: Adapter = DiagonalMetric()

    reversible: ClassVar[bool] = True

    def __check_init__(self) -> None:
        check_step(self)
        if not isinstance(self.steps, Integral) or self.steps < 1:
            raise SpecError(f"HMC(steps={self.steps}): at least one leapfrog step is needed. Try 10.")

    @property
    def adapts(self) -> Any:
        return (self.metric, StepSize(self.target_accept))

    def step(self, key: Array, target: Target, state: ScoredPoint) -> tuple[ScoredPoint, Stats]:
        key_momentum, key_jitter, key_accept = split(key, 3)
        momentum = standard_normal(key_momentum, state.position.shape, state.position.dtype)
        factor = jax.random.uniform(key_jitter, (), momentum.dtype, -1.0, 1.0)
        step_size = self.step_size * (1.0 + self.jitter * factor)
        start = (state, momentum)
        end, broken = trajectory(target, root(self.inverse_mass), step_size, self.steps, start)
        new, stats = accepted(key_accept, start, end, broken)
        return new, {**stats, "n_steps": jnp.asarray(self.steps)}
