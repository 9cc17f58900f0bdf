r"""Annealed importance sampling: particles carried from the reference to the target, with weights.

A particle starts from an exact draw of q. At each $\beta_k$ its log-weight grows by
$(\beta_k - \beta_{k-1}) \log (p/q)(x)$, then a Markov kernel that leaves $\pi_{\beta_k}$ invariant moves it. The mean
weight is unbiased for $Z_p / Z_q$ whatever the kernel; its variance is small when neighbours overlap.

A small population of its own goes first. It is resampled on its way, chooses the temperatures where the schedule asks
for it, and tunes the kernel at every beta; the weighted particles then run with what was found, so that tuning does not
bias them.

Backwards, from draws of the target to the reference, the same walk estimates $Z_q / Z_p$. The logarithm of a mean
weight falls short on average, so the two walks bracket log Z in expectation: bidirectional Monte Carlo.

References:
    Neal, *Annealed importance sampling*, Statistics and Computing 11, 2001; Grosse, Ghahramani, Adams, *Sandwiching the
    marginal likelihood using bidirectional Monte Carlo*, 2015, arXiv:1511.02543.
"""

from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.population import PopulationKernel, Tuning
from gmdsl.adapt.temperatures import as_schedule, kept_static
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace
from gmdsl.inference.path import PathSampler, PathTarget, Population, check_move
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.weights import log_mean_exp, systematic_draw

SETTLING = 4  # transitions of the pilot at each beta, in which the kernel is tuned


class AIS(PathSampler):
    r"""Annealed importance sampling.

    Attributes:
        move: the kernel; its law must be exact (not `Langevin`).
        particles: how many.
        temperatures: how many steps from reference to target, the betas, or a schedule such as
            `gm.adapt.EqualRejection(0.1)`, which the pilot follows.
        steps: transitions at each temperature.
        power: a number of steps is $\beta_k = (k / K)^{power}$; above 1 puts more temperatures near the reference.
        pilot: particles of the tuning run; 0 leaves `move` as it is.
    """

    move: Sampler
    particles: int = 1000
    temperatures: Any = eqx.field(default=100, converter=kept_static)
    steps: int = 1
    power: float = 3.0
    pilot: int = 100

    def __check_init__(self) -> None:
        for name, least in (("particles", 2), ("steps", 1), ("pilot", 0)):
            if getattr(self, name) < least:
                raise SpecError(f"AIS({name}={getattr(self, name)}): at least {least} is needed.")
        check_move("AIS", self.move)
        if as_schedule("AIS", self.temperatures, self.power).fixed is None and not self.pilot:
            raise SpecError("AIS(pilot=0): a schedule that finds the temperatures needs a pilot. Take pilot=100.")

    def bound(self, density: Any) -> Self:
        return replace(self, move=self.move.bound(density))

    def run(self, key: Array, path: PathTarget) -> Population:
        key_pilot, key_main, key_draw = jax.random.split(key, 3)
        plan = self._plan(key_pilot, path)
        x = jax.vmap(path.draw)(jax.random.split(key_draw, self.particles))
        return self._walk(key_main, path, plan, x, back=False)

    def run_back(self, key: Array, path: PathTarget, x: Float[Array, "n dim"]) -> Population:
        """The walk from draws of the target to the reference: its log-weights estimate minus log Z.

        Args:
            key: that of the walk from the reference, whose plan it follows.
            path: the path.
            x: independent draws of the target, flat and unconstrained.
        """
        key_pilot, key_main, _ = jax.random.split(key, 3)
        return self._walk(jax.random.fold_in(key_main, 2**31), path, self._plan(key_pilot, path), x, back=True)

    def _walk(self, key: Array, path: PathTarget, plan: "_Plan", x: Array, *, back: bool) -> Population:
        """Particles along the plan, in one direction or the other, with their weights."""
        kernel = PopulationKernel(self.move)

        def stage(number: Array, at: Any) -> Any:
            x, log_weight, curve, acceptance, broken = at
            index = plan.stages - 1 - number if back else number
            before, beta = plan.betas[index], plan.betas[index + 1]
            tuning = jax.tree.map(lambda leaf: leaf[index], plan.tuning)
            if not back:
                log_weight = log_weight + self._grown(path, x, before, beta)
            moved = kernel.moved(jax.random.fold_in(key, number), path.at(beta), tuning, x, self.steps, frozen=True)
            if back:
                log_weight = log_weight - self._grown(path, moved.x, before, beta)
            there = index if back else index + 1
            curve = curve.at[there].set(log_mean_exp(log_weight))
            acceptance = acceptance.at[index].set(moved.acceptance.astype(curve.dtype))
            return moved.x, log_weight, curve, acceptance, broken + moved.broken.astype(broken.dtype)

        zeros = jnp.zeros(len(plan.betas))
        broken = jnp.mean(jax.vmap(path.is_broken)(x).astype(zeros.dtype))
        start = (x, jnp.zeros(len(x), zeros.dtype), zeros, zeros[:-1], broken)
        x, log_weight, curve, acceptance, broken = jax.lax.fori_loop(0, plan.stages, stage, start)
        last = jax.tree.map(lambda leaf: leaf[plan.stages - 1], plan.tuning)
        rates = None if back else kernel.stuck(jax.random.fold_in(key, plan.stages), path.at(plan.betas[-1]), last, x)
        broken = broken / (plan.stages + 1)
        return Population(x, log_weight, plan.betas, curve, acceptance, plan.stages, rates, broken)

    def _plan(self, key: Array, path: PathTarget) -> "_Plan":
        """Temperatures and tuned kernels, from a pilot population."""
        schedule, kernel = as_schedule("AIS", self.temperatures, self.power), PopulationKernel(self.move)
        key_draw, key_walk = jax.random.split(key)
        fixed, dtype = schedule.fixed, jnp.zeros(0).dtype
        if fixed is not None and not (self.pilot and kernel.tuned):
            betas, own = jnp.asarray(fixed, dtype), kernel.start(path.dim, dtype)
            same = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(betas) - 1, *leaf.shape)), own)
            return _Plan(betas, same, jnp.int32(len(betas) - 1))
        x = jax.vmap(path.draw)(jax.random.split(key_draw, self.pilot))

        def stage(at: Any) -> Any:
            x, index, betas, tunings = at
            key_resample, key_move = jax.random.split(jax.random.fold_in(key_walk, index))
            ratio, beta = jax.vmap(path.log_ratio)(x), betas[index]
            after = schedule.following(path.interpolation, index, beta, ratio, jnp.zeros(len(x), dtype)).astype(dtype)
            grown = self._grown(path, x, beta, after)
            before = jax.tree.map(lambda leaf: leaf[jnp.maximum(index - 1, 0)], tunings)
            weight = jnp.nan_to_num(jax.nn.softmax(grown), nan=1.0 / len(x))
            chosen = systematic_draw(key_resample, weight, len(x))
            moved = kernel.moved(key_move, path.at(after), kernel.scaled(before, x, grown), x[chosen], SETTLING)
            tunings = jax.tree.map(lambda held, one: held.at[index].set(one), tunings, moved.tuning)
            return moved.x, index + 1, betas.at[index + 1].set(after), tunings

        betas, own = jnp.ones(schedule.most + 1, dtype).at[0].set(0.0), kernel.start(path.dim, dtype)
        tunings = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (schedule.most, *leaf.shape)), own)
        start = (x, jnp.int32(0), betas, tunings)
        _, stages, betas, tunings = jax.lax.while_loop(
            lambda at: (at[1] < schedule.most) & (at[2][at[1]] < 1.0), stage, start
        )
        return _Plan(betas, tunings, stages)

    def _grown(self, path: PathTarget, x: Array, before: Array, beta: Array) -> Array:
        """What log-weights grow by from one beta to the next."""
        ratio = jax.vmap(path.log_ratio)(x)
        return jnp.where(ratio == -jnp.inf, -jnp.inf, path.interpolation.increment(ratio, before, beta))


class _Plan(NamedTuple):
    """Temperatures, and the kernel at each; what lies beyond the stages is padding at beta = 1."""

    betas: Float[Array, " betas"]
    tuning: Tuning
    stages: Array
