r"""Underdamped Langevin: a particle with a velocity, rubbed and kicked by a heat bath.

$dx = v\,dt, \quad dv = \nabla\log\pi(x)\,dt - \gamma v\,dt + \sqrt{2\gamma}\,dW$, in units in which the target is
about $N(0, 1)$ (those of the metric), keeps $\pi(x)\,N(v; 0, 1)$. It is split into parts that are solved exactly: B, a
kick by the score; A, a drift along the velocity; O, the bath, $v' = e^{-\gamma h} v + \sqrt{1 - e^{-2\gamma h}}\,z$.

* Unadjusted: B A O A B. Nothing is rejected; the law differs from the target by $O(h^2)$, and on a Gaussian the
  positions have it exactly while $h < 2$.
* Adjusted: O, then B A B as a proposal, accepted with probability $\min\{1, e^{-\Delta H}\}$,
  $H = -\log\pi(x) + \tfrac12 |v|^2$; a rejection turns the velocity round. The law is exact.

A step costs one gradient. With a small friction the direction is kept for long.

Reference:
    Leimkuhler and Matthews, *Rational construction of stochastic numerical methods for molecular sampling*, 2013
    (BAOAB); Horowitz, *A generalized guided Monte Carlo algorithm*, 1991 (the adjusted scheme).
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.energy_error import EnergyError
from gmdsl.adapt.metric import DiagonalMetric
from gmdsl.adapt.step_size import StepSize
from gmdsl.core.errors import SpecError
from gmdsl.core.random.normal import standard_normal
from gmdsl.core.random.threefry import split
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.kernels.metric import root, scaled, scaled_score
from gmdsl.inference.kernels.metropolis import metropolis
from gmdsl.inference.kernels.phase_space import Phase, bounced, phase, point_of, turned
from gmdsl.inference.kernels.scored_point import is_nan, scored_point
from gmdsl.inference.sampler import Sampler, check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target

DIVERGENCE = 1000.0  # energy error above which a step is called divergent, as in Stan


class UnderdampedLangevin(Sampler):
    r"""Kinetic Langevin dynamics, with or without a Metropolis correction.

    Attributes:
        step_size: time $h$ of a step, in units of the (estimated) scales; below 2, where the splitting is unstable.
        friction: $\gamma$, per unit of time; the direction is forgotten after about $1 / \gamma$.
        adjusted: whether steps are accepted or rejected, so that the law is exact.
        target_accept: acceptance rate that warm-up aims at, when adjusted. A rejection turns the particle round: keep
            it near 1.
        energy_error: variance of the energy error per dimension that warm-up aims at, when not adjusted.
        inverse_mass: variances (or covariance) of the target; estimated when None.
        metric: the rule that estimates it; None for unit scales.

    >>> import gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    >>> tree = gm.sample(bowl, gm.UnderdampedLangevin(adjusted=True), draws=50, warmup=50, progress=False)
    >>> gm.UnderdampedLangevin().bias
    'unadjusted: the stationary law differs from the target by O(step_size^2)'
    """

    step_size: float = 0.2
    friction: float = 1.0
    adjusted: bool = False
    target_accept: float = 0.95
    energy_error: float = 5e-4
    inverse_mass: Any = None
    metric: Adapter | None = DiagonalMetric()

    def __check_init__(self) -> None:
        check_step(self)
        if isinstance(self.friction, int | float) and not self.friction > 0:
            raise SpecError(f"UnderdampedLangevin(friction={self.friction}): a friction is above zero. Try 1.0.")

    @property
    def adapts(self) -> Any:
        step = StepSize(self.target_accept) if self.adjusted else EnergyError(self.energy_error)
        return (step,) if self.metric is None else (self.metric, step)

    @property
    def bias(self) -> str | None:
        return None if self.adjusted else "unadjusted: the stationary law differs from the target by O(step_size^2)"

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> Phase:
        return phase(scored_point(target, x), standard_normal(key, x.shape, x.dtype))

    def position(self, state: Phase) -> Float[Array, " dim"]:
        return state.position

    def refresh(self, key: Array, target: Target, state: Phase) -> Phase:
        """The same velocity, whose law does not depend on the target."""
        return phase(scored_point(target, state.position), state.velocity)

    def step(self, key: Array, target: Target, state: Phase) -> tuple[Phase, Stats]:
        return self._adjusted_step(key, target, state) if self.adjusted else self._unadjusted_step(key, target, state)

    def _adjusted_step(self, key: Array, target: Target, state: Phase) -> tuple[Phase, Stats]:
        key_bath, key_accept = split(key)
        state = state._replace(velocity=self._bath(key_bath, state.velocity))
        kicked = self._kick(state)
        proposal = self._kick(_move(target, kicked, self._drift(kicked.velocity, self.step_size)))
        error = _energy(proposal) - _energy(state)
        new, stats = metropolis(key_accept, turned(state), proposal, -error)
        more = {"energy_error": jnp.where(stats["accepted"], error, 0.0), "diverging": ~(error < DIVERGENCE)}
        return new, {**stats, **more, **_tell(new, proposal)}

    def _unadjusted_step(self, key: Array, target: Target, state: Phase) -> tuple[Phase, Stats]:
        kicked = self._kick(state)
        before, half = kicked.velocity, 0.5 * self.step_size
        after = self._bath(key, before)
        move = self._drift(before, half) + self._drift(after, half)
        proposal = self._kick(_move(target, kicked._replace(velocity=after), move))
        heat = 0.5 * (after @ after - before @ before)  # what the bath gave is no error
        error = _energy(proposal) - _energy(state) - heat
        new, lost = bounced(state, proposal)
        error = jnp.where(lost, jnp.inf, error)
        more = {"energy_error": error, "diverging": ~(error < DIVERGENCE)}
        return new, {**more, **_tell(new, proposal)}

    def _bath(self, key: Array, velocity: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """O: part of the velocity is replaced by noise."""
        decay = self.friction * self.step_size
        noise = standard_normal(key, velocity.shape, velocity.dtype)
        return jnp.exp(-decay) * velocity + jnp.sqrt(-jnp.expm1(-2.0 * decay)) * noise

    def _kick(self, state: Phase) -> Phase:
        """B, for half a step."""
        force = scaled_score(root(self.inverse_mass), state.score)
        return state._replace(velocity=state.velocity + 0.5 * self.step_size * force)

    def _drift(self, velocity: Float[Array, " dim"], time: float | Array) -> Float[Array, " dim"]:
        """A: how far a velocity carries."""
        return time * scaled(root(self.inverse_mass), velocity)


def _move(target: Target, state: Phase, move: Float[Array, " dim"]) -> Phase:
    return phase(scored_point(target, state.position + move), state.velocity)


def _energy(state: Phase) -> Float[Array, ""]:
    return 0.5 * state.velocity @ state.velocity - state.log_density


def _tell(new: Phase, proposal: Phase) -> Stats:
    # No `energy`: E-BFMI takes it for that of fresh momenta, and here most of a momentum is kept on purpose.
    return {"lp": new.log_density, "nan_evaluations": is_nan(point_of(proposal))}
