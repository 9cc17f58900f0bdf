r"""A sampler that moves a population of particles: one kernel for all, tuned by what all of them do.

Where a sampler has an adapter of its step, the logarithm of the step follows the mean acceptance rate (see
`gmdsl.adapt.inner_step`); where it has one of its metric, the inverse mass is the variance, or covariance, of the
weighted particles; where it asks for the marginal laws of the coordinates, these are quantiles of the particles.
Other settings stay as they are.

Quantiles are many numbers, and proposals that are drawn from them must not know the particle that they move: each half
of the population is moved by the quantiles of the other one. (With those of all particles, log Z of 32 wells is 0.2 too
large.)

Reference:
    Buchholz, Chopin, Jacob, *Adaptive tuning of Hamiltonian Monte Carlo within sequential Monte Carlo*, 2021,
    arXiv:1808.07730.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.inner_step import InnerStep
from gmdsl.adapt.marginals import CELLS, KEPT, Marginals, quantiles
from gmdsl.adapt.metric import Metric
from gmdsl.core.pytrees.fields import replace
from gmdsl.inference.adapter import adapters_of
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target

TRIES = 4  # transitions from one place that tell whether a particle can leave it
LEAST = 1e-12  # of the variance of a coordinate in which all particles agree


def tries_at(rate: float) -> int:
    """Transitions from one place that tell whether it can be left, where so many are accepted on average.

    >>> tries_at(0.8), tries_at(0.234)
    (4, 24)
    """
    return max(TRIES, math.ceil(TRIES * (0.57 / max(rate, 0.05)) ** 2))


class Tuning(NamedTuple):
    """What is tuned.

    Attributes:
        log_step: the logarithm of the step.
        inverse_mass: variances, or a covariance; empty where the sampler has no metric.
        marginals: quantiles of the coordinates in each half of the particles; empty where they are not asked for.
    """

    log_step: Float[Array, ""]
    inverse_mass: Float[Array, "..."]
    marginals: Float[Array, "..."]


class Moved(NamedTuple):
    """A population after some transitions.

    Attributes:
        x: where the particles are.
        path: where they were after each transition.
        tuning: as it was left.
        acceptance: mean rate, NaN where none is reported.
        broken: share of transitions with a log-density that was NaN.
    """

    x: Float[Array, "n dim"]
    path: Float[Array, "steps n dim"]
    tuning: Tuning
    acceptance: Float[Array, ""]
    broken: Float[Array, ""]


class PopulationKernel(eqx.Module):
    """How a sampler moves particles.

    Attributes:
        sampler: as the user made it.
    """

    sampler: Sampler

    @property
    def metric(self) -> Metric | None:
        """The adapter of its metric, when it has one."""
        return next((rule for rule in adapters_of(self.sampler) if isinstance(rule, Metric)), None)

    @property
    def marginals(self) -> bool:
        """Whether it asks for the marginal laws of the coordinates."""
        return any(isinstance(rule, Marginals) for rule in adapters_of(self.sampler))

    @property
    def tuned(self) -> bool:
        """Whether there is anything to tune."""
        return self.metric is not None or self.marginals or InnerStep(self.sampler).rule is not None

    def start(self, dim: int, dtype: Any) -> Tuning:
        """The sampler's own settings."""
        rule = self.metric
        mass = jnp.zeros(0, dtype) if rule is None else jnp.ones(dim, dtype)
        mass = jnp.diag(mass) if rule is not None and rule.dense else mass
        marginals = jnp.full((2, dim, CELLS + 1) if self.marginals else (2, 0), jnp.nan, dtype)
        return Tuning(InnerStep(self.sampler).first().astype(dtype), mass, marginals)

    def scaled(self, tuning: Tuning, x: Float[Array, "n dim"], log_weight: Float[Array, " n"]) -> Tuning:
        """The metric and the marginals of weighted particles; what is not finite changes nothing."""
        if self.marginals:
            tuning = tuning._replace(marginals=_marginals_of(tuning.marginals, x, log_weight))
        rule = self.metric
        if rule is None:
            return tuning
        weight = jax.nn.softmax(log_weight)
        gap = x - weight @ x
        mass = (weight[:, None] * gap).T @ gap if rule.dense else weight @ gap**2
        floor = LEAST * jnp.eye(x.shape[1], dtype=x.dtype) if rule.dense else LEAST
        return tuning._replace(inverse_mass=jnp.where(jnp.isfinite(mass).all(), mass + floor, tuning.inverse_mass))

    def moved(
        self, key: Array, target: Target, tuning: Tuning, x: Float[Array, "n dim"], steps: int, frozen: bool = False
    ) -> Moved:
        """Every particle after some transitions.

        Args:
            key: a random key of which nothing else is made.
            target: the density.
            tuning: the settings at the beginning.
            x: where the particles are.
            steps: transitions.
            frozen: whether the settings stay; otherwise the step follows the acceptance rate after each transition.
        """
        inner = InnerStep(self.sampler)
        half = _half(len(x))
        begin = lambda key, x, half: self._at(tuning, target.dim, half).init(key, target, x)  # noqa: E731
        state = jax.vmap(begin)(jax.random.split(key, len(x)), x, half)

        def transition(at: Any, number: Array) -> Any:
            state, tuning = at
            step = lambda key, state, half: self._at(tuning, target.dim, half).step(key, target, state)  # noqa: E731
            keys = jax.random.split(jax.random.fold_in(key, number + 1), len(x))
            state, stats = jax.vmap(step)(keys, state, half)
            accepted = jnp.mean(stats.get("acceptance_rate", jnp.full(len(x), jnp.nan)))
            if not frozen:
                log_step = inner.tuned(tuning.log_step, jnp.nan_to_num(accepted)).astype(tuning.log_step.dtype)
                tuning = tuning._replace(log_step=log_step)
            broken = jnp.mean(jnp.asarray(stats.get("nan_evaluations", False), accepted.dtype))
            return (state, tuning), (jax.vmap(self.sampler.position)(state), accepted, broken)

        (state, tuning), (path, accepted, broken) = jax.lax.scan(transition, (state, tuning), jnp.arange(steps))
        return Moved(path[-1], path, tuning, jnp.mean(accepted), jnp.mean(broken))

    def stuck(self, key: Array, target: Target, tuning: Tuning, x: Float[Array, "n dim"]) -> Float[Array, " n"]:
        """Mean acceptance rate of a few transitions that all begin at each particle; NaN where none is reported.

        Of a sampler that moves coordinates on their own it is the rate of the coordinate that moves least. A step that
        fits most of the particles may fit some of them nowhere: in the neck of a funnel every proposal is refused,
        though the mean rate is as wanted.
        """
        rule = InnerStep(self.sampler).rule
        count = tries_at(1.0 if rule is None else rule.target_accept)

        def tries(key: Array, x: Array, half: Array) -> Array:
            sampler = self._at(tuning, target.dim, half)
            state = sampler.init(key, target, x)
            once = lambda key: _rates(sampler.step(key, target, state)[1])  # noqa: E731
            return jnp.min(jnp.mean(jax.lax.map(once, jax.random.split(key, count)), axis=0))

        return jax.vmap(tries)(jax.random.split(key, len(x)), x, _half(len(x)))

    def _at(self, tuning: Tuning, dim: int, half: Array) -> Sampler:
        """The sampler with what was tuned for a half; other adapters begin, and fill in their fields."""
        sampler = InnerStep(self.sampler).at(tuning.log_step)
        if self.metric is not None:
            sampler = replace(sampler, inverse_mass=tuning.inverse_mass)
        if self.marginals:
            sampler = replace(sampler, marginals=tuning.marginals[1 - half])
        for adapter in adapters_of(sampler):
            _, sampler = adapter.start(sampler, dim)
        return sampler


def _rates(stats: Stats) -> Array:
    """Acceptance rates of a transition: of each coordinate where they are told, else the one of all; NaN for none."""
    return jnp.atleast_1d(stats.get("_coordinate_rates", stats.get("acceptance_rate", jnp.nan)))


def _half(count: int) -> Array:
    """In which half each particle is: 0 or 1."""
    return jnp.arange(count) * 2 // count


def _marginals_of(old: Array, x: Float[Array, "n dim"], log_weight: Float[Array, " n"]) -> Array:
    """Quantiles of the weighted particles of each half, of some of them that stand for all."""

    def of(half: Array) -> Array:
        edges = jnp.cumsum(jax.nn.softmax(jnp.where(_half(len(x)) == half, log_weight, -jnp.inf)))
        middle = (jnp.arange(KEPT, dtype=edges.dtype) + 0.5) / KEPT
        return quantiles(x[jnp.minimum(jnp.searchsorted(edges, middle), len(x) - 1)])

    found = jax.vmap(of)(jnp.arange(2))
    return jnp.where(jnp.isfinite(found).all(), found, old)
