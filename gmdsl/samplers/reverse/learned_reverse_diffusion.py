r"""Learned reverse diffusion: an energy without data is sampled by a reverse process that is learned from it.

A denoiser is learned from the energy (`energy_matching`); a draw then runs the way back in Gaussian steps,
$x_N \sim N(0, s^2 I)$, $x_{k-1} \sim p_\theta(x_{k-1} \mid x_k)$. What the network gets wrong is corrected by
the weight of the whole path,

$$w = \frac{\tilde p(x_0) \prod_k q(x_k \mid x_{k-1})}{p(x_N) \prod_k p_\theta(x_{k-1} \mid x_k)},$$

whose mean is Z for any network and any number of steps. Draws are resampled with these weights.

Reference:
    Akhound-Sadegh et al., 2024, arXiv:2402.06121 (learning); Berner, Richter, Ullrich, *An optimal control perspective
    on diffusion-based generative modeling*, 2022, arXiv:2211.01364; Vargas, Grathwohl, Doucet, *Denoising diffusion
    samplers*, 2023, arXiv:2302.13834 (weights of paths).
"""

import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.rewrites.convolution_layouts import with_fast_convolutions
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.core.random.normal import standard_normal
from gmdsl.diffusion.energy_matching import posterior_mean
from gmdsl.diffusion.prediction import Preconditioned
from gmdsl.diffusion.process import Process
from gmdsl.inference.generator import Generator, Prepared, Stats
from gmdsl.inference.target import Target
from gmdsl.inference.weights import Particles, combined, draw_points, effective_size, thinned

BLOCK = 100  # updates in a compiled block
SEEN = 1024  # points of the population that a block of updates sees


class LearnedReverseDiffusion(Generator):
    """Weighted draws of an unnormalised density, by a reverse process learned from it; nothing else is needed.

    Made for targets of few dimensions with separate modes: the energy must be seen by random points around the
    scale of the process, which fails slowly as the dimension grows. The effective size of the weights tells, but
    not about modes that neither the Gaussian of the process nor the learned draws ever visit.

    Attributes:
        process: how noise is added; its last law must be wide enough to see every mode.
        network: called as `network(x, level)` on flat vectors, such as `gm.nets.TimeMLP(dim, key=key)`.
        steps: steps of the way back.
        updates: optimiser steps in all.
        rounds: how often the population is renewed by weighted draws.
        batch_size: noised points per update.
        particles: points per estimate from the energy.
        population: points of the population that are added in each round.
        learning_rate: of Adam, decaying to zero along a cosine.
        scale: standard deviation of a coordinate of the target; estimated from the first population when None.
        trained: whether the network has been learned already; `prepare` then does nothing.
    """

    process: Process
    network: Any
    steps: int = 400
    updates: int = 5000
    rounds: int = 5
    batch_size: int = 256
    particles: int = 256
    population: int = 2048
    learning_rate: float = 2e-3
    scale: Any = None
    trained: bool = False

    def __check_init__(self) -> None:
        if not isinstance(self.process, Process):
            raise SpecError(f"LearnedReverseDiffusion({type(self.process).__name__}, ...): a process is needed first.")
        for name in ("steps", "updates", "rounds", "batch_size", "particles", "population"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise SpecError(f"LearnedReverseDiffusion({name}={getattr(self, name)!r}): at least 1 is needed.")

    def prepare(self, key: Array, target: Target, report: Any) -> "Prepared[LearnedReverseDiffusion]":
        """The same sampler with its network learned for the target."""
        if self.trained:
            return Prepared(self)
        _probe(self, target)
        key_start, key_train = jax.random.split(key)
        population = _wide(key_start, self, target)
        learner = self
        if self.scale is None:
            learner = eqx.tree_at(lambda s: s.scale, self, _scale(population), is_leaf=lambda leaf: leaf is None)
        per_round = -(-self.updates // (self.rounds * BLOCK)) * BLOCK
        total = per_round * self.rounds
        skeleton, arrays = strip((learner, target))
        state = _adam(self.learning_rate, total).init(strip(learner.network)[1])
        done = 0
        for round_ in range(self.rounds):
            for _ in range(per_round // BLOCK):
                key_block = jax.random.fold_in(key_train, done)
                weights, state = _train(skeleton, total, key_block, arrays, population, state)
                learner = eqx.tree_at(lambda s: s.network, learner, strip(learner.network)[0].fill(weights))
                skeleton, arrays = strip((learner, target))
                done += BLOCK
                report(done, total)
            if round_ < self.rounds - 1:
                keys = jax.random.split(jax.random.fold_in(key_train, total + round_), self.population)
                x, log_weight = _draws(skeleton, arrays, keys)
                fresh = Particles(x, log_weight)
                share = jnp.clip(effective_size(log_weight) / self.population, 0.01, 0.9)
                population = combined(thinned(population, 4 * self.population), fresh, share)
        return Prepared(replace(learner, trained=True))

    def draw(self, key: Array, target: Target) -> tuple[Float[Array, " dim"], Stats]:
        key_start, key_noise = jax.random.split(key)
        process, prediction = self.process, Preconditioned(self.scale)
        times = process.time_at(jnp.linspace(1.0, 0.0, self.steps))
        start = process.prior_scale * jax.random.normal(key_start, (target.dim,))

        def step(k: Array, at: Any) -> Any:
            x, log_weight = at
            noise = standard_normal(jax.random.fold_in(key_noise, k), x.shape, x.dtype)
            bridge = process.bridge(times[k + 1], times[k])
            clean = prediction.denoise(process, self.network, x, times[k])
            std = jnp.sqrt(bridge.std**2 + (bridge.clean * self._spread(times[k])) ** 2)
            before = bridge.noisy * x + bridge.clean * clean + std * noise
            forward = process.transition(times[k + 1], times[k])
            log_weight += _normal(x, forward.scale * before, forward.std) - _normal(noise, 0.0, 1.0)
            return before, log_weight + x.size * jnp.log(std)

        x, log_weight = jax.lax.fori_loop(0, self.steps - 1, step, (start, -_normal(start, 0.0, process.prior_scale)))
        last = times[self.steps - 1]
        noise = standard_normal(jax.random.fold_in(key_noise, self.steps), x.shape, x.dtype)
        spread = self._spread(last)
        end = prediction.denoise(process, self.network, x, last) + spread * noise
        log_weight += _normal(x, process.alpha(last) * end, process.sigma(last)) - _normal(noise, 0.0, 1.0)
        log_weight += x.size * jnp.log(spread) + target.log_density(end)
        return end, {"log_weight": jnp.where(jnp.isnan(log_weight), -jnp.inf, log_weight)}

    def _spread(self, t: Array) -> Array:
        """Standard deviation of the clean point given the noised one, for Gaussian data of this scale.

        A step that left it out would be too narrow, and the weights of few steps would have heavy tails.
        """
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        return self.scale * sigma / jnp.sqrt((alpha * self.scale) ** 2 + sigma**2)


def _adam(learning_rate: Any, total: int) -> Any:
    """Adam with a rate that decays to zero along a cosine."""
    import optax

    return optax.adam(optax.cosine_decay_schedule(learning_rate, total))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _train(skeleton: Skeleton, total: int, key: Array, arrays: Any, population: Particles, state: Any) -> Any:
    """A block of updates of the network."""
    import optax

    learner, target = skeleton.fill(arrays)
    shape, weights = strip(learner.network)
    seen = Particles(draw_points(key, population, SEEN), jnp.zeros(SEEN))
    process, prediction = learner.process, Preconditioned(learner.scale)

    def loss(weights: Any, key: Array) -> Array:
        network = shape.fill(weights)
        key_pick, key_level, key_noise, key_estimate = jax.random.split(key, 4)
        size = learner.batch_size
        clean = draw_points(key_pick, population, size)
        levels = jnp.mod(jnp.arange(size) / size + jax.random.uniform(key_level), 1.0)
        times = process.time_at(levels)

        around = jax.random.normal(key_estimate, (learner.particles, clean.shape[1]), clean.dtype)

        def error(x_0: Array, noise: Array, t: Array) -> Array:
            x = process.noisy(x_0, noise, t)
            wanted = posterior_mean(target, process, seen, around, x, t)
            found = prediction.denoise(process, network, x, t)
            return prediction.weight(process, t) * jnp.mean((found - jax.lax.stop_gradient(wanted)) ** 2)

        noise = jax.random.normal(key_noise, clean.shape, clean.dtype)
        return jnp.mean(jax.vmap(error)(clean, noise, times))

    slopes = with_fast_convolutions(jax.grad(loss))

    def step(i: Array, at: Any) -> Any:
        weights, state = at
        slope = slopes(weights, jax.random.fold_in(key, i))
        updates, state = _adam(learner.learning_rate, total).update(slope, state, weights)
        return optax.apply_updates(weights, updates), state

    return jax.lax.fori_loop(0, BLOCK, step, (weights, state))


@functools.partial(jax.jit, static_argnums=0)
def _draws(skeleton: Skeleton, arrays: Any, keys: Array) -> Any:
    learner, target = skeleton.fill(arrays)
    x, stats = jax.vmap(lambda key: learner.draw(key, target))(keys)
    return x, stats["log_weight"]


def _wide(key: Array, learner: LearnedReverseDiffusion, target: Target) -> Particles:
    """The first population: many draws of the Gaussian of the process with their weights, the best of them kept."""
    count, scale = 16 * learner.population, learner.process.prior_scale
    x = scale * jax.random.normal(key, (count, target.dim))
    skeleton, arrays = strip(target)
    log_weight = _weigh(skeleton, arrays, x, scale)
    log_weight = jnp.where(jnp.isnan(log_weight), -jnp.inf, log_weight)
    if not bool(jnp.any(jnp.isfinite(log_weight))):
        raise SpecError(
            f"sample(..., LearnedReverseDiffusion(...)): none of {count} draws of N(0, {float(scale):.3g}^2) has any"
            " density. Take a process whose last law covers the target."
        )
    return thinned(Particles(x, log_weight), 4 * learner.population)


@functools.partial(jax.jit, static_argnums=0)
def _weigh(skeleton: Skeleton, arrays: Any, x: Array, scale: Array) -> Array:
    """Log-weights of draws of a wide Gaussian."""
    target = skeleton.fill(arrays)
    return jax.vmap(lambda x: target.log_density(x) - _normal(x, 0.0, scale))(x)


def _scale(population: Particles) -> Array:
    weight = jax.nn.softmax(population.log_weight)
    return jnp.sqrt(jnp.mean(weight @ population.x**2))


def _normal(x: Array, mean: Any, std: Any) -> Array:
    """The log-density of a normal vector."""
    return -0.5 * jnp.sum(((x - mean) / std) ** 2) - x.size * (jnp.log(std) + 0.5 * math.log(2.0 * math.pi))


def _probe(learner: LearnedReverseDiffusion, target: Target) -> None:
    x = jnp.zeros(target.dim)
    try:
        out = jax.eval_shape(learner.network, x, jnp.zeros(()))
        shape = out.shape
    except Exception as error:
        raise SpecError(
            f"sample(..., LearnedReverseDiffusion(...)): network(x, level) fails for a vector of {target.dim}: {error}."
        ) from error
    if shape != x.shape:
        raise SpecError(
            f"sample(..., LearnedReverseDiffusion(...)): network(x, level) returns shape {shape}, but the flat vector"
            f" has {x.shape}. Return that."
        )
