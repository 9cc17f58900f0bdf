r"""Hamiltonian Monte Carlo whose trajectory length is learned by all chains together (ChEES).

Every transition of all chains takes $\lceil h_t T / \epsilon \rceil$ leapfrog steps, where $h_t$ cycles through 16
times spread over (0, 1) in van der Corput's order, so that no length resonates. Warm-up learns the scales, the step
$\epsilon$ and the length $T$ from all chains at once. There is no tree: chains never wait for each other, and 16 or
more of them cost little more than one.

Reference:
    Hoffman, Radul and Sountsov, *An adaptive-MCMC scheme for setting trajectory lengths in Hamiltonian Monte Carlo*,
    AISTATS 2021.
"""

from numbers import Integral
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gmdsl.adapt.cross_chain import CrossChain
from gmdsl.adapt.metric import DiagonalMetric
from gmdsl.adapt.step_size import StepSize
from gmdsl.adapt.trajectory_length import TrajectoryLength
from gmdsl.core.errors import SpecError, check_positive
from gmdsl.core.random.normal import standard_normal
from gmdsl.core.random.threefry import split
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.collectives import max_over_lanes
from gmdsl.inference.kernels.hamiltonian import accepted, trajectory
from gmdsl.inference.kernels.metric import root, unscaled
from gmdsl.inference.kernels.scored_point import ScoredPoint, scored_point
from gmdsl.inference.sampler import Sampler, check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target

# The middles of 16 equal parts of (0, 1), each far from the one before: the parts by their binary digits reversed.
TIMES = tuple((int(f"{part:04b}"[::-1], 2) + 0.5) / 16 for part in range(16))


class CountedPoint(NamedTuple):
    """A position, its log-density and score, and how many transitions the chain has made."""

    position: Float[Array, " dim"]
    log_density: Float[Array, ""]
    score: Float[Array, " dim"]
    count: Int[Array, ""]


class ChEESHMC(Sampler):
    """Hamiltonian Monte Carlo with a trajectory length learned across chains; take 16 chains or more.

    Attributes:
        step_size: time of one leapfrog step, in units of the (estimated) scales.
        trajectory_length: longest time of a trajectory before warm-up; the mean is half of it.
        max_steps: leapfrog steps in a trajectory at most.
        target_accept: acceptance rate that warm-up aims at, the mean over the chains; 0.651 is best for Gaussians, and
            leaves chains behind where the target is narrow. Raise it towards 1 when R-hat says so.
        inverse_mass: variances (or covariance) of the target; estimated when None.
        metric: the rule that estimates it, from all chains together.

    >>> import gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    >>> tree = gm.sample(bowl, gm.ChEESHMC(), chains=16, draws=50, warmup=100, progress=False)
    >>> tree["posterior"]["x"].shape
    (16, 50, 2)
    """

    step_size: float = 0.2
    trajectory_length: float = 1.0
    max_steps: int = 1000
    target_accept: float = 0.9
    inverse_mass: Any = None
    metric: Adapter = DiagonalMetric()

    def __check_init__(self) -> None:
        check_step(self)
        check_positive(self, "trajectory_length")
        if not isinstance(self.max_steps, Integral) or self.max_steps < 1:
            raise SpecError(f"ChEESHMC(max_steps={self.max_steps!r}): at least one leapfrog step is needed. Try 1000.")

    @property
    def adapts(self) -> Any:
        return (CrossChain(self.metric), CrossChain(StepSize(self.target_accept), late=True), TrajectoryLength())

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> CountedPoint:
        return CountedPoint(*scored_point(target, x), jnp.zeros((), jnp.int32))

    def position(self, state: CountedPoint) -> Float[Array, " dim"]:
        return state.position

    def step(self, key: Array, target: Target, state: CountedPoint) -> tuple[CountedPoint, Stats]:
        key_momentum, key_accept = split(key)
        scales = root(self.inverse_mass)
        momentum = standard_normal(key_momentum, state.position.shape, state.position.dtype)
        time = self.trajectory_length * jnp.asarray(TIMES, momentum.dtype)[state.count % len(TIMES)]
        steps = jnp.clip(jnp.ceil(time / self.step_size), 1, self.max_steps).astype(jnp.int32)
        steps = max_over_lanes(steps)  # the same in every chain: said so that the loop has one length
        start = (ScoredPoint(*state[:3]), momentum)
        end, broken = trajectory(target, scales, self.step_size, steps, start)
        new, stats = accepted(key_accept, start, end, broken)
        seen = {
            "_start": unscaled(scales, state.position),
            "_end": unscaled(scales, end[0].position),
            "_velocity": end[1],
            "_time": steps * self.step_size,
        }
        return CountedPoint(*new, state.count + 1), {**stats, **seen, "n_steps": steps}
