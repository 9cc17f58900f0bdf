"""Samplers with one planted bug each, which a certificate must find; and one without."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback

import gmdsl as gm
from gmdsl.inference.kernels.hamiltonian import leapfrog
from gmdsl.inference.kernels.scored_point import ScoredPoint, scored_point

STEPS = 10
RESONANT = 2 * np.sin(np.pi / (2 * STEPS))  # leapfrog steps that make half a period of a unit Gaussian


class Walk(gm.Sampler):
    """Random-walk Metropolis without a bug."""

    step_size: float = 0.5
    adapts = gm.adapt.StepSize(target_accept=0.234)

    def step(self, key, target, x):
        key_move, key_accept = jax.random.split(key)
        proposal = x + self.step_size * jax.random.normal(key_move, x.shape)
        return gm.metropolis(key_accept, x, proposal, target.log_density(proposal) - target.log_density(x))


class NoHastings(gm.MALA):
    """MALA with the proposal taken for symmetric."""

    def step(self, key, target, state):
        return _langevin_move(self, key, target, state, hastings=0.0)


class LoudNoise(gm.MALA):
    """MALA whose noise is a fifth too large for its ratio."""

    def step(self, key, target, state):
        return _langevin_move(self, key, target, state, loudness=1.2)


def _langevin_move(sampler, key, target, state, loudness=1.0, hastings=1.0):
    key_move, key_accept = jax.random.split(key)
    variance = sampler.step_size * sampler.inverse_mass
    mean = lambda at: at.position + 0.5 * variance * at.score  # noqa: E731
    noise = loudness * jnp.sqrt(variance) * jax.random.normal(key_move, state.position.shape)
    proposal = scored_point(target, mean(state) + noise)
    move = lambda start, end: -0.5 * jnp.sum((end.position - mean(start)) ** 2 / variance)  # noqa: E731
    log_ratio = proposal.log_density - state.log_density
    log_ratio += hastings * (move(proposal, state) - move(state, proposal))
    return gm.metropolis(key_accept, state, proposal, log_ratio)


class Frozen(gm.Sampler):
    """Never moves, and says that it accepts."""

    def step(self, key, target, x):
        return x, {"acceptance_rate": jnp.ones(()), "lp": target.log_density(x)}


class OneCoordinateForgotten(gm.Sampler):
    """Moves all coordinates but the last."""

    def step(self, key, target, x):
        key_move, key_accept = jax.random.split(key)
        proposal = x.at[:-1].add(0.7 * jax.random.normal(key_move, (target.dim - 1,)))
        return gm.metropolis(key_accept, x, proposal, target.log_density(proposal) - target.log_density(x))


class ResonantHMC(gm.Sampler):
    """HMC with a trajectory of exactly half a period of a unit Gaussian."""

    def init(self, key, target, x):
        return scored_point(target, x)

    def position(self, state):
        return state.position

    def step(self, key, target, state):
        key_momentum, key_accept = jax.random.split(key)
        momentum = jax.random.normal(key_momentum, state.position.shape)
        mass = jnp.ones(target.dim)

        def move(_, at):
            return leapfrog(target, mass, RESONANT, *at)

        proposal, end = jax.lax.fori_loop(0, STEPS, move, (state, momentum))
        gain = proposal.log_density - state.log_density
        return gm.metropolis(key_accept, state, proposal, gain - 0.5 * (end @ end - momentum @ momentum))


class NoJacobian(gm.Sampler):
    """Evaluates the density of the constrained variables at the unconstrained vector."""

    step_size: float = 0.5
    adapts = gm.adapt.StepSize(target_accept=0.3)

    def step(self, key, target, x):
        key_move, key_accept = jax.random.split(key)
        proposal = x + self.step_size * jax.random.normal(key_move, x.shape)
        return gm.metropolis(key_accept, x, proposal, _constrained(target, proposal) - _constrained(target, x))


def _constrained(target, x):
    return target.log_density_at(target.constrain(x))


class Restless(NamedTuple):
    """A position and a step that goes on being tuned."""

    position: Any
    step: Any


class AdaptsForEver(gm.Sampler):
    """Tunes its step in its state, warm-up or not."""

    def init(self, key, target, x):
        return Restless(x, jnp.asarray(0.3, x.dtype))

    def position(self, state):
        return state.position

    def step(self, key, target, state):
        key_move, key_accept = jax.random.split(key)
        proposal = state.position + state.step * jax.random.normal(key_move, state.position.shape)
        log_ratio = target.log_density(proposal) - target.log_density(state.position)
        x, stats = gm.metropolis(key_accept, state.position, proposal, log_ratio)
        step = state.step * jnp.exp(0.1 * (stats["acceptance_rate"] - 0.234))
        return Restless(x, step), stats


class OneKeyForBoth(gm.Sampler):
    """Proposes and accepts with the same key."""

    step_size: float = 0.5
    adapts = gm.adapt.StepSize(target_accept=0.234)

    def step(self, key, target, x):
        proposal = x + self.step_size * jax.random.normal(key, x.shape)
        return gm.metropolis(key, x, proposal, target.log_density(proposal) - target.log_density(x))


class KeyIgnored(gm.Sampler):
    """Makes the same move in every chain and at every step."""

    def step(self, key, target, x):
        key_move, key_accept = jax.random.split(jax.random.key(0))
        proposal = x + 0.7 * jax.random.normal(key_move, x.shape)
        return gm.metropolis(key_accept, x, proposal, target.log_density(proposal) - target.log_density(x))


class Keyed(NamedTuple):
    """A position and a key that is never split."""

    position: Any
    key: Any


class KeyKept(gm.Sampler):
    """Draws its key once per chain and uses it at every step."""

    def init(self, key, target, x):
        return Keyed(x, key)

    def position(self, state):
        return state.position

    def step(self, key, target, state):
        x, stats = Walk(step_size=0.7).step(state.key, target, state.position)
        return Keyed(x, state.key), stats


class StaleGradient(gm.MALA):
    """MALA that keeps the score of the point before, and with it a right `lp`."""

    def step(self, key, target, state):
        new, stats = gm.MALA.step(self, key, target, state)
        return ScoredPoint(new.position, new.log_density, state.score), stats


class StaleDensity(gm.RandomWalk):
    """Reports the log-density of the point before."""

    def step(self, key, target, state):
        new, stats = gm.RandomWalk.step(self, key, target, state)
        return new, {**stats, "lp": state.log_density}


class TuningThatDoesNothing(gm.Adapter):
    """Says that it tunes the step, and leaves it."""

    tunes = ("step_size",)

    def start(self, sampler, dim):
        return jnp.zeros(()), sampler

    def update(self, state, sampler, position, score, stats):
        return state, sampler

    def finish(self, state, sampler):
        return sampler


class Untuned(gm.RandomWalk):
    """A walk whose step is not tuned, though it says so."""

    @property
    def adapts(self):
        return (self.metric, TuningThatDoesNothing())


class Undeclared(gm.Sampler):
    """Langevin dynamics at a step that matters, without a word about its bias."""

    step_size: float = 0.2

    def step(self, key, target, x):
        noise = jax.random.normal(key, x.shape)
        return x + 0.5 * self.step_size * target.score(x) + jnp.sqrt(self.step_size) * noise, {}


class HotLangevin(gm.Sampler):
    """Langevin dynamics with noise that is too large, whose bias does not shrink with the step."""

    step_size: float = 0.02
    bias = "unadjusted: of the order of the step"

    def step(self, key, target, x):
        noise = jax.random.normal(key, x.shape)
        return x + 0.5 * self.step_size * target.score(x) + 1.2 * jnp.sqrt(self.step_size) * noise, {}


class Rounded(gm.Sampler):
    """Rounds positions down to eighths, in single precision only."""

    def step(self, key, target, x):
        new, stats = Walk(step_size=0.7).step(key, target, x)
        return (jnp.floor(8 * new) / 8 if x.dtype == jnp.float32 else new), stats


TRACES = []
STEPS_MADE = []


class Impure(gm.Sampler):
    """Its step depends on how often it has been traced."""

    def step(self, key, target, x):
        TRACES.append(1)
        return Walk(step_size=0.5 + 0.01 * len(TRACES)).step(key, target, x)


class Remembering(gm.Sampler):
    """Keeps a count of its steps on the host, where no store finds it."""

    def step(self, key, target, x):
        def count(x):
            STEPS_MADE.append(1)
            return np.asarray(0.5 + 1e-3 * (len(STEPS_MADE) % 97), x.dtype)

        size = io_callback(count, jax.ShapeDtypeStruct((), x.dtype), x[0])
        return Walk(step_size=size).step(key, target, x)
