r"""The length of Hamiltonian trajectories, by the gradient of how far they carry the squared distance from the mean.

The criterion is $\tfrac14 E\,(\lVert x' - \bar x' \rVert^2 - \lVert x - \bar x \rVert^2)^2$ over transitions from $x$
to the proposal $x'$: it is largest where squared distances, which mix last, mix best. Its gradient in the length needs
the velocity at the end of each trajectory and the means over all chains. Distances are taken in the standard
coordinates of the metric. Until the first window of warm-up the chains come from where they started, and trajectories
have a few steps of whatever size the chain can make.

Reference:
    Hoffman, Radul and Sountsov, *An adaptive-MCMC scheme for setting trajectory lengths in Hamiltonian Monte Carlo*,
    AISTATS 2021.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace, setting
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.collectives import mean_over_chains
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats

EARLY = 8  # leapfrog steps in a trajectory at most, until the first window of warm-up


class Ascent(NamedTuple):
    """State of the ascent on the logarithm of the length."""

    log_length: Float[Array, ""]
    log_average: Float[Array, ""]
    square: Float[Array, ""]
    count: Float[Array, ""]
    begun: Bool[Array, ""]


class TrajectoryLength(Adapter):
    """Tunes `trajectory_length` of a sampler whose chains run side by side.

    The sampler's stats must hold, for adapters only, `_start`, `_end` and `_velocity`: where a trajectory began, where
    it ended and how fast, in the standard coordinates of the metric; and `_time`, how long it took.

    Attributes:
        rate: step of the ascent on the logarithm of the length.
        memory: how slowly squared gradients are forgotten, between 0 and 1.
        longest: most leapfrog steps that the mean trajectory may have.
    """

    rate: float = 0.025
    memory: float = 0.95
    longest: float = 500.0

    tunes: ClassVar[tuple[str, ...]] = ("trajectory_length",)
    needs: ClassVar[tuple[str, ...]] = ("acceptance_rate", "_start", "_end", "_velocity", "_time")
    chains: ClassVar[int] = 2

    def __check_init__(self) -> None:
        if not self.rate > 0.0:
            raise SpecError(f"TrajectoryLength(rate={self.rate}): a rate above zero is needed, such as 0.025.")
        if not 0.0 < self.memory < 1.0:
            raise SpecError(f"TrajectoryLength(memory={self.memory}): a number between 0 and 1 is needed.")

    def start(self, sampler: Sampler, dim: int) -> tuple[Ascent, Sampler]:
        del dim
        log_length = jnp.log(jnp.asarray(setting(sampler, "trajectory_length")))
        zero = jnp.zeros_like(log_length)
        return Ascent(log_length, log_length, zero, zero, jnp.zeros((), bool)), sampler

    def update(
        self, state: Ascent, sampler: Sampler, position: Any, score: Any, stats: Stats
    ) -> tuple[Ascent, Sampler]:
        del position, score
        slope, count = _slope(stats), state.count + 1.0
        square = self.memory * state.square + (1.0 - self.memory) * slope**2
        size = jnp.sqrt(square / (1.0 - self.memory**count))
        move = self.rate * slope / jnp.maximum(size, jnp.finfo(size.dtype).tiny)
        most = jnp.log(self.longest * setting(sampler, "step_size"))
        log_length = jnp.minimum(state.log_length + move, most)
        # Later lengths count more, so that the way up from the start is forgotten.
        weight = 2.0 / (count + 1.0)
        average = weight * log_length + (1.0 - weight) * state.log_average
        begun = state.begun | stats.get("warmup_window", False)
        new = Ascent(log_length, average, square, count, begun)
        again = Ascent(log_length, log_length, jnp.zeros_like(square), jnp.zeros_like(count), begun)
        restart = stats.get("warmup_window_end", False)
        new = jax.tree.map(lambda a, b, old: jnp.where(restart, a, b).astype(old.dtype), again, new, state)
        new = jax.tree.map(lambda a, old: jnp.where(begun, a, old), new, state)
        early = EARLY * setting(sampler, "step_size")
        return new, replace(sampler, trajectory_length=jnp.where(begun, jnp.exp(new.log_length), early))

    def finish(self, state: Ascent, sampler: Sampler) -> Sampler:
        return replace(sampler, trajectory_length=jnp.exp(state.log_average))


def _slope(stats: Stats) -> Float[Array, ""]:
    """The gradient of the criterion in the logarithm of the length, the mean over all chains."""
    rate = jnp.nan_to_num(stats["acceptance_rate"], nan=0.0)
    end, velocity = stats["_end"], stats["_velocity"]
    good = jnp.isfinite(end).all() & jnp.isfinite(velocity).all() & (rate > 0.0)
    rate, end = jnp.where(good, rate, 0.0), jnp.where(good, end, 0.0)
    share = mean_over_chains(rate)
    centre, target = mean_over_chains(stats["_start"]), mean_over_chains(rate * end) / jnp.maximum(share, 1e-10)
    start, end = stats["_start"] - centre, end - target
    gain = jnp.dot(end, end) - jnp.dot(start, start)
    slope = stats["_time"] * gain * jnp.dot(end, jnp.where(good, velocity, 0.0))
    slope = jnp.where(jnp.isfinite(slope), slope, 0.0)
    return mean_over_chains(rate * slope) / jnp.maximum(share, 1e-10)
