r"""Microcanonical Langevin: a particle of constant speed that the score can only turn.

In units in which the target is about $N(0, 1)$ (those of the metric), with a unit velocity $u$ in $d$ dimensions,

$$ dx = u\,dt, \qquad du = (1 - u u^\top)\,\frac{\nabla\log\pi(x)}{d - 1}\,dt $$

keeps $\pi(x)$ times the uniform law of $u$. Both halves are solved exactly. A drift is $x + h u$; a turn by the score
$g$, with $e = g / |g|$, $c = e \cdot u$, $\delta = h |g| / (d - 1)$, is

$$ u' = \frac{u + e\,(\sinh\delta + c\,(\cosh\delta - 1))}{\cosh\delta + c \sinh\delta}, \qquad
   \Delta K = (d - 1) \log(\cosh\delta + c \sinh\delta), $$

and $\Delta E = \Delta K - \Delta\log\pi$ is 0 along the exact path: $e^{-\Delta K}$ is the Jacobian of the turn. One
step of the integrator is turn, drift, turn, drift, turn (of least error among those), two gradients.

* Unadjusted: after each step the direction is blurred, $u' \propto u + \nu z$, $\nu^2 = (e^{2h/L} - 1) / d$, so that it
  is forgotten over a length $L$. Nothing is rejected; the law differs from the target by $O(h^2)$.
* Adjusted: a fresh direction, then a path of random length, $L$ on average, accepted with probability
  $\min\{1, e^{-\Delta E}\}$. The law is exact.

Reference:
    Robnik, De Luca, Silverstein and Seljak, *Microcanonical Hamiltonian Monte Carlo*, 2023, arXiv:2212.08549; Robnik
    and Seljak, *Fluctuation without dissipation: Microcanonical Langevin Monte Carlo*, 2024, arXiv:2303.18221; Robnik,
    Cohn-Gordon and Seljak, *Metropolis Adjusted Microcanonical Hamiltonian Monte Carlo*, 2025, arXiv:2503.01707;
    Omelyan, Mryglod and Folk, *Symplectic analytically integrable decomposition algorithms*, 2003 (the integrator).
"""

from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.energy_error import EnergyError
from gmdsl.adapt.length import Length
from gmdsl.adapt.metric import DiagonalMetric
from gmdsl.adapt.step_size import StepSize
from gmdsl.core.errors import SpecError
from gmdsl.core.random.normal import standard_normal
from gmdsl.core.random.threefry import split
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.kernels.metric import Root, root, scaled, scaled_score
from gmdsl.inference.kernels.metropolis import metropolis
from gmdsl.inference.kernels.phase_space import Phase, bounced, phase, point_of
from gmdsl.inference.kernels.scored_point import is_nan, scored_point
from gmdsl.inference.sampler import Sampler, check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target

DIVERGENCE = 1000.0  # energy error above which a path is called divergent, as in Stan
OUTER = 0.1931833275037836  # share of a step in its first and last turn, for the least error


class MCLMC(Sampler):
    r"""Microcanonical Langevin Monte Carlo, with or without a Metropolis correction; in two dimensions or more.

    Attributes:
        step_size: length $h$ of a step of the integrator, in units of the (estimated) scales.
        length: $L$, over which the direction is forgotten; when None, from the variances of the warm-up.
        adjusted: whether paths are accepted or rejected, so that the law is exact.
        target_accept: acceptance rate that warm-up aims at, when adjusted.
        energy_error: variance of the energy error per dimension that warm-up aims at, when not adjusted.
        max_steps: steps of a path at most, when adjusted.
        inverse_mass: variances (or covariance) of the target; estimated when None.
        metric: the rule that estimates it; None for unit scales.

    >>> import gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(5))
    >>> tree = gm.sample(bowl, gm.MCLMC(adjusted=True), draws=100, warmup=100, progress=False)
    >>> gm.MCLMC().bias
    'unadjusted: the stationary law differs from the target by O(step_size^2)'
    """

    step_size: float = 0.5
    length: Any = None
    adjusted: bool = False
    target_accept: float = 0.9
    energy_error: float = 5e-4
    max_steps: int = 100
    inverse_mass: Any = None
    metric: Adapter | None = DiagonalMetric()

    def __check_init__(self) -> None:
        check_step(self)
        if isinstance(self.length, int | float) and not self.length > 0:
            raise SpecError(f"MCLMC(length={self.length}): a length is above zero. Give None, and warm-up finds it.")
        if not isinstance(self.max_steps, Integral) or self.max_steps < 1:
            raise SpecError(f"MCLMC(max_steps={self.max_steps}): at least one step is needed. Try 100.")

    @property
    def adapts(self) -> Any:
        step = StepSize(self.target_accept) if self.adjusted else EnergyError(self.energy_error)
        return (Length(), step) if self.metric is None else (self.metric, Length(), step)

    @property
    def bias(self) -> str | None:
        return None if self.adjusted else "unadjusted: the stationary law differs from the target by O(step_size^2)"

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> Phase:
        if target.dim == 1:
            raise SpecError(
                "MCLMC(): one dimension, and a velocity of constant speed has nowhere to turn on a line."
                " Take gm.UnderdampedLangevin() or gm.NUTS()."
            )
        return phase(scored_point(target, x), _unit(standard_normal(key, x.shape, x.dtype)))

    def position(self, state: Phase) -> Float[Array, " dim"]:
        return state.position

    def refresh(self, key: Array, target: Target, state: Phase) -> Phase:
        """The same velocity, whose law does not depend on the target."""
        return phase(scored_point(target, state.position), state.velocity)

    def step(self, key: Array, target: Target, state: Phase) -> tuple[Phase, Stats]:
        return self._adjusted_step(key, target, state) if self.adjusted else self._unadjusted_step(key, target, state)

    def _adjusted_step(self, key: Array, target: Target, state: Phase) -> tuple[Phase, Stats]:
        key_velocity, key_length, key_accept = split(key, 3)
        start = state._replace(velocity=_unit(standard_normal(key_velocity, state.velocity.shape, state.score.dtype)))
        length = 2.0 * self._length(target) * jax.random.uniform(key_length, (), state.score.dtype)
        steps = jnp.clip(jnp.ceil(length / self.step_size), 1, self.max_steps).astype(jnp.int32)
        lowest, scales = state.log_density - DIVERGENCE, root(self.inverse_mass)

        def move(_: Any, at: Any) -> Any:
            here, turns, broken = at
            there, turn = self._integrate(target, scales, here)
            # A path that has flown off already overflows to NaN; that is a divergence.
            return there, turns + turn, broken | (is_nan(point_of(there)) & (here.log_density > lowest))

        zero = jnp.zeros_like(state.log_density)
        proposal, turns, broken = jax.lax.fori_loop(0, steps, move, (start, zero, jnp.zeros((), bool)))
        error = turns + state.log_density - proposal.log_density
        new, stats = metropolis(key_accept, start, proposal, jnp.where(broken, jnp.nan, -error))
        more = {"energy_error": jnp.where(stats["accepted"], error, 0.0), "diverging": ~(error < DIVERGENCE)}
        return new, {**stats, **more, "lp": new.log_density, "n_steps": steps, "nan_evaluations": broken}

    def _unadjusted_step(self, key: Array, target: Target, state: Phase) -> tuple[Phase, Stats]:
        proposal, turn = self._integrate(target, root(self.inverse_mass), state)
        error = turn + state.log_density - proposal.log_density
        new, lost = bounced(state, proposal)
        blur = jnp.sqrt(jnp.expm1(2.0 * self.step_size / self._length(target)) / target.dim)
        noise = standard_normal(key, new.velocity.shape, new.velocity.dtype)
        new = new._replace(velocity=_unit(new.velocity + blur * noise))
        error = jnp.where(lost, jnp.inf, error)
        more = {"energy_error": error, "diverging": ~(error < DIVERGENCE)}
        return new, {**more, "lp": new.log_density, "nan_evaluations": is_nan(point_of(proposal))}

    def _length(self, target: Target) -> Float[Array, ""]:
        return jnp.sqrt(target.dim) if self.length is None else self.length

    def _integrate(self, target: Target, scales: Root, state: Phase) -> tuple[Phase, Float[Array, ""]]:
        """One step of the integrator, and the change of kinetic energy along it."""

        def turned(state: Phase, share: float) -> tuple[Phase, Float[Array, ""]]:
            velocity, change = turn(state.velocity, scaled_score(scales, state.score), share * self.step_size)
            return state._replace(velocity=velocity), change

        def drifted(state: Phase) -> Phase:
            move = 0.5 * self.step_size * scaled(scales, state.velocity)
            return phase(scored_point(target, state.position + move), state.velocity)

        state, first = turned(state, OUTER)
        state, second = turned(drifted(state), 1.0 - 2.0 * OUTER)
        state, third = turned(drifted(state), OUTER)
        return state, first + second + third


def turn(
    velocity: Float[Array, " dim"], force: Float[Array, " dim"], time: float | Array
) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
    """The unit velocity after a time under a constant force, and the change of kinetic energy."""
    dim = velocity.shape[0]
    size = jnp.sqrt(force @ force)
    toward = force / jnp.maximum(size, jnp.finfo(force.dtype).tiny)
    cosine = jnp.clip(toward @ velocity, -1.0, 1.0)
    angle = time * size / (dim - 1)
    # Both fractions are multiplied by 2 exp(-angle), so that nothing overflows.
    decay, lost = jnp.exp(-angle), -jnp.expm1(-angle)
    new = 2.0 * decay * velocity + lost * (1.0 + decay + cosine * lost) * toward
    near = angle + jnp.log1p(0.5 * (cosine - 1.0) * -jnp.expm1(-2.0 * angle))  # exact for small angles
    far = jnp.logaddexp(jnp.log1p(cosine) + angle, jnp.log1p(-cosine) - angle) - jnp.log(2.0)
    change = (dim - 1) * jnp.where(angle < 1.0, near, far)
    turning = new @ new > 0.0  # straight against the force there is no side to turn to
    return jnp.where(turning, _unit(new), velocity), change.astype(velocity.dtype)


def _unit(vector: Float[Array, " dim"]) -> Float[Array, " dim"]:
    return vector / jnp.sqrt(vector @ vector)
