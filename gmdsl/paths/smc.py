r"""Sequential Monte Carlo along a path: a population that is weighted, resampled and moved from beta to beta.

From $\beta$ to $\beta'$ the weight of a particle grows by $\pi_{\beta'} / \pi_\beta$ at its place (without
constants); the mean of these weights estimates $Z_{\beta'} / Z_\beta$. Where too few particles count, they are
resampled: heavy ones are copied, light ones dropped. A Markov kernel that leaves $\pi_{\beta'}$ invariant then moves
all of them. With resampling the number of temperatures only has to grow like the square root of the dimension, and
particles leave modes that turn out to have little mass.

The population consists of islands, which are resampled each on its own. They share the temperatures and the tuning of
the kernel, and nothing else, so that the spread of their estimates gives the standard error. In the waste-free variant
a part of the particles is chosen and moved, and all states on their way become the next population.

References:
    Del Moral, Doucet, Jasra, *Sequential Monte Carlo samplers*, JRSS B 68, 2006; Verge, Dubarry, Del Moral, Moulines,
    *On parallel implementation of sequential Monte Carlo methods: the island particle model*, 2015; Dau and Chopin,
    *Waste-free sequential Monte Carlo*, JRSS B 84, 2022.
"""

from numbers import Integral
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.population import PopulationKernel, Tuning
from gmdsl.adapt.temperatures import EffectiveSize, Schedule, as_schedule, kept_static
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace
from gmdsl.inference.path import PathSampler, PathTarget, Population, check_move
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.weights import RESAMPLING, effective_size, log_mean_exp


class SMC(PathSampler):
    r"""Sequential Monte Carlo with tempering.

    Attributes:
        move: the kernel; its law must be exact (not `Langevin`).
        particles: how many, in all islands together.
        temperatures: how many steps (at $(k / K)^3$), the betas, or a schedule, `gm.adapt.EffectiveSize(0.9)`.
        steps: transitions at each temperature.
        islands: populations that are resampled each on its own, 4 or more.
        threshold: resampling takes place where the effective share of an island is below; 1 resamples always.
        resampling: "systematic", "stratified", "residual" or "multinomial".
        waste_free: all states on the way are kept; particles / islands is then a multiple of steps + 1.
    """

    move: Sampler
    particles: int = 1000
    temperatures: Any = eqx.field(default=EffectiveSize(0.9), converter=kept_static)
    steps: int = 3
    islands: int = 10
    threshold: float = 0.7
    resampling: str = "systematic"
    waste_free: bool = False

    def __check_init__(self) -> None:
        for name, least in (("particles", 8), ("steps", 1), ("islands", 4)):
            given = getattr(self, name)
            if not isinstance(given, Integral) or given < least:
                raise SpecError(f"SMC({name}={given!r}): a whole number of at least {least} is needed.")
        share = self.islands * (self.steps + 1 if self.waste_free else 1)
        if self.particles % share or self.particles < 2 * share:
            what = "islands times (steps + 1)" if self.waste_free else "islands"
            raise SpecError(
                f"SMC(particles={self.particles}): a multiple of {what} = {share} is needed, at least twice that."
                f" Take particles={max(2, -(-self.particles // share)) * share}."
            )
        if self.resampling not in RESAMPLING:
            raise SpecError(f"SMC(resampling={self.resampling!r}): take one of {', '.join(RESAMPLING)}.")
        if isinstance(self.threshold, int | float) and not 0.0 <= self.threshold <= 1.0:
            raise SpecError(f"SMC(threshold={self.threshold}): a share between 0 and 1 is needed.")
        as_schedule("SMC", self.temperatures)
        check_move("SMC", self.move)

    @property
    def groups(self) -> int:
        return self.islands

    def bound(self, density: Any) -> Self:
        return replace(self, move=self.move.bound(density))

    def run(self, key: Array, path: PathTarget) -> Population:
        schedule, kernel = as_schedule("SMC", self.temperatures), PopulationKernel(self.move)
        key_draw, key_walk = jax.random.split(key)
        x = jax.vmap(path.draw)(jax.random.split(key_draw, self.particles))
        ratio = jax.vmap(path.log_ratio)(x)
        zero = jnp.zeros(0).sum()  # of float type, also where the variables are discrete
        log = jnp.full((3, schedule.most + 1), jnp.nan, zero.dtype).at[:, 0].set(jnp.array([0.0, 0.0, jnp.nan]))
        weight, tuning = jnp.zeros(self.particles, zero.dtype), kernel.start(path.dim, zero.dtype)
        broken = jnp.mean(jax.vmap(path.is_broken)(x).astype(zero.dtype))
        start = _Walk(x, weight, ratio, zero, jnp.int32(0), tuning, log, broken)

        def stage(at: _Walk) -> _Walk:
            return self._stage(jax.random.fold_in(key_walk, at.index), path, schedule, kernel, at)

        end = jax.lax.while_loop(lambda at: (at.beta < 1.0) & (at.index < schedule.most), stage, start)
        betas, curve, acceptance = end.log
        rates = kernel.stuck(jax.random.fold_in(key_walk, -1 % 2**32), path.at(end.beta), end.tuning, end.x)
        broken = end.broken / (end.index + 1)
        return Population(end.x, end.log_weight, betas, curve, acceptance[1:], end.index, rates, broken)

    def _stage(
        self, key: Array, path: PathTarget, schedule: Schedule, kernel: PopulationKernel, at: "_Walk"
    ) -> "_Walk":
        key_resample, key_move = jax.random.split(key)
        within = self._in_islands(at.log_weight)
        pooled = (within - jax.vmap(log_mean_exp)(within)[:, None]).ravel()  # each island counts alike
        beta = schedule.following(path.interpolation, at.index, at.beta, at.ratio, pooled)
        grown = path.interpolation.increment(at.ratio, at.beta, beta)
        log_weight = at.log_weight + jnp.where(at.ratio == -jnp.inf, -jnp.inf, grown)
        tuning = kernel.scaled(at.tuning, at.x, pooled + log_weight - at.log_weight)
        x, resampled = self._resampled(key_resample, at.x, log_weight)
        moved = kernel.moved(key_move, path.at(beta), tuning, x, self.steps)
        if self.waste_free:
            x, resampled = self._kept(x, moved.path), jnp.repeat(resampled, self.steps + 1)
        else:
            x = moved.x
        now = jnp.stack([beta, log_mean_exp(log_weight), moved.acceptance.astype(beta.dtype)])
        return _Walk(
            x, resampled, jax.vmap(path.log_ratio)(x), beta, at.index + 1, moved.tuning,
            at.log.at[:, at.index + 1].set(now), at.broken + moved.broken.astype(at.broken.dtype),
        )  # fmt: skip

    def _resampled(self, key: Array, x: Array, log_weight: Array) -> tuple[Array, Array]:
        """The particles of each island, resampled where too few count; ancestors alone in the waste-free variant."""
        within = self._in_islands(log_weight)
        count = within.shape[1] // (self.steps + 1) if self.waste_free else within.shape[1]
        choose = RESAMPLING[self.resampling]
        weights = jax.nn.softmax(within, axis=1)
        chosen = jax.vmap(lambda key, weight: choose(key, weight, count))(
            jax.random.split(key, self.islands), jnp.nan_to_num(weights)
        )
        level = jnp.broadcast_to(jax.vmap(log_mean_exp)(within)[:, None], chosen.shape)
        if not self.waste_free:
            share = jnp.mean(jax.vmap(effective_size)(within)) / within.shape[1]
            again = share < self.threshold
            chosen = jnp.where(again, chosen, jnp.arange(within.shape[1]))
            level = jnp.where(again, level, within)
        x = jax.vmap(lambda x, chosen: x[chosen])(self._in_islands(x), chosen)
        return x.reshape(-1, x.shape[-1]), level.ravel()

    def _kept(self, x: Array, path: Array) -> Array:
        """Ancestors and all states on their way, island by island."""
        states = jnp.concatenate([x[None], path])
        states = states.reshape(self.steps + 1, self.islands, -1, x.shape[1])
        return jnp.moveaxis(states, 0, 1).reshape(-1, x.shape[1])

    def _in_islands(self, values: Array) -> Array:
        return values.reshape(self.islands, -1, *values.shape[1:])


class _Walk(NamedTuple):
    """Where the population is."""

    x: Float[Array, "n dim"]
    log_weight: Float[Array, " n"]
    ratio: Float[Array, " n"]
    beta: Float[Array, ""]
    index: Array
    tuning: Tuning
    log: Float[Array, "3 betas"]
    broken: Float[Array, ""]
