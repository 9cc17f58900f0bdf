r"""Random-walk Metropolis: propose $x' = x + \epsilon\, L z$ with $z \sim N(0, I)$, accept by the density ratio.

Reference:
    Roberts, Gelman and Gilks, *Weak convergence and optimal scaling of random walk Metropolis
    algorithms*, 1997 (acceptance 0.234).
"""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.metric import DiagonalMetric
from gmdsl.adapt.step_size import StepSize
from gmdsl.core.random.normal import standard_normal
from gmdsl.core.random.threefry import split
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.kernels.metric import root, scaled
from gmdsl.inference.kernels.metropolis import metropolis
from gmdsl.inference.sampler import Sampler, check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class WalkState(NamedTuple):
    """Position and its log-density."""

    position: Float[Array, " dim"]
    log_density: Float[Array, ""]


class RandomWalk(Sampler):
    """Gaussian proposals in the scale of the target; needs no gradient.

    Attributes:
        step_size: standard deviation of the proposal, in units of the (estimated) standard deviations.
        target_accept: acceptance rate that warm-up aims at.
        inverse_mass: variances (or covariance) of the proposal; estimated when None.
        metric: the rule that estimates it; `gm.adapt.DenseMetric()` for correlated targets.
    """

    step_size: float = 0.5
    target_accept: float = 0.234
    inverse_mass: Any = None
    metric: Adapter = DiagonalMetric()

    reversible: ClassVar[bool] = True

    def __check_init__(self) -> None:
        check_step(self)

    @property
    def adapts(self) -> Any:
        return (self.metric, StepSize(self.target_accept))

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> WalkState:
        return WalkState(x, target.log_density(x))

    def position(self, state: WalkState) -> Float[Array, " dim"]:
        return state.position

    def step(self, key: Array, target: Target, state: WalkState) -> tuple[WalkState, Stats]:
        key_move, key_accept = split(key)
        noise = standard_normal(key_move, state.position.shape, state.position.dtype)
        x = state.position + self.step_size * scaled(root(self.inverse_mass), noise)
        proposal = WalkState(x, target.log_density(x))
        new, stats = metropolis(key_accept, state, proposal, proposal.log_density - state.log_density)
        broken = jnp.isnan(proposal.log_density) & jnp.isfinite(x).all()
        return new, {**stats, "lp": new.log_density, "nan_evaluations": broken}
