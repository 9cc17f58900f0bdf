r"""Chains inside of an objective: expectations under a model that changes a little with every update.

Chains go on from where the last update left them (persistent), or are picked from a larger store of them (replay).
Where an exact sampler is asked for, the step follows the acceptance rate (`gmdsl.adapt.inner_step`): a common one for
chains of one density, one for each chain where every datum has a density of its own, which may be wide or narrow.

Reference:
    Tieleman, *Training restricted Boltzmann machines using approximations to the likelihood gradient*, 2008.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.inner_step import InnerStep
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.inference.kernels.transitions import transitions
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.target import Target

ROUND = 10  # transitions between two tunings of the step before the first update

type TargetOf = Callable[[Any], Target]


class Chains(NamedTuple):
    """Positions of chains, the logarithm of their steps, and the acceptance rate of the last move."""

    x: Float[Array, "chains dim"]
    log_step: Float[Array, "*chains"]
    acceptance: Float[Array, ""]


def moved(inner: InnerStep, key: Array, target: TargetOf, chains: Chains, data: Any, steps: int, rate: float) -> Chains:
    """Chains after some transitions side by side, and their steps after they followed the acceptance rate.

    Args:
        inner: the sampler and how its step follows.
        key: a random key.
        target: gives the density of a row from its datum.
        chains: where they are, one per row.
        data: one datum per row; None where all chains are of one density, `target(None)`.
        steps: transitions.
        rate: how fast the step follows.
    """
    keys = jax.random.split(key, chains.x.shape[0])
    axis = None if data is None else 0

    def one(key: Array, x: Array, log_step: Array, datum: Any) -> tuple[Array, Array]:
        return transitions(inner.at(log_step), key, target(datum), x, steps)

    log_steps = jnp.broadcast_to(chains.log_step, chains.x.shape[:1])
    x, acceptance = jax.vmap(one, in_axes=(0, 0, 0, axis))(keys, chains.x, log_steps, data)
    mean = jnp.mean(acceptance)
    return Chains(x, inner.tuned(chains.log_step, mean if data is None else acceptance, rate), mean)


def settled(inner: InnerStep, key: Array, target: TargetOf, x: Array, data: Any, warmup: int) -> Chains:
    """Chains after a warm-up of so many transitions, in which their step is tuned; see `moved`."""
    dtype = jnp.result_type(x.dtype, 1.0)  # positions of discrete variables may be integers
    first = jnp.broadcast_to(inner.first().astype(dtype), () if data is None else x.shape[:1])
    chains = Chains(x, first, jnp.ones((), dtype))

    def one_round(i: Array, chains: Chains) -> Chains:
        return moved(inner, jax.random.fold_in(key, i), target, chains, data, ROUND, 1.0)

    return jax.jit(lambda c: jax.lax.fori_loop(0, -(-warmup // ROUND), one_round, c))(chains)


def starts(key: Array, target: FlatTarget, chains: int) -> Float[Array, "chains dim"]:
    """Starts of chains where no data are: uniform on (-1, 1), discrete elements uniform over their values."""
    x = jax.random.uniform(key, (chains, target.dim), minval=-1.0, maxval=1.0)
    for i, states in enumerate(target.states):
        if states is not None:
            count, first, gap = states
            number = jnp.clip(jnp.floor(0.5 * (x[:, i] + 1.0) * count), 0, count - 1)
            x = x.at[:, i].set(first + gap * number)
    return x


def bound(sampler: Sampler, target: FlatTarget) -> Sampler:
    """The sampler of a model with discrete variables with what it must know of them; any other as it is.

    Raises:
        SpecError: it cannot move one of the variables.
    """
    discrete = any(target.spaces[name].discrete for name in target.free)
    return sampler.bound(_Moved(target)) if discrete else sampler


@dataclass(frozen=True)
class _Moved:
    """What a sampler is bound to: a target, read as a compiled model."""

    target: FlatTarget

    @property
    def model(self) -> Any:
        return self.target.model

    @property
    def free(self) -> tuple[str, ...]:
        return self.target.free

    @property
    def spaces(self) -> Any:
        return self.target.spaces


def picked(
    key: Array, fresh: Float[Array, "n dim"], store: Float[Array, "kept dim"], chains: int, restart: float
) -> tuple[Array, Float[Array, "chains dim"]]:
    """Which chains of a store move, and from where.

    Args:
        key: a random key.
        fresh: positions of data, at which some of them begin anew.
        store: positions of all chains that are kept.
        chains: how many move.
        restart: the share of those that begin anew.
    """
    key_pick, key_restart, key_datum = jax.random.split(key, 3)
    kept = store.shape[0]
    chosen = jnp.arange(chains)
    if kept > chains:
        chosen = jax.random.choice(key_pick, kept, (chains,), replace=False)
    starts = store[chosen]
    if restart > 0:
        data = fresh[jax.random.randint(key_datum, (chains,), 0, fresh.shape[0])]
        anew = jax.random.bernoulli(key_restart, restart, (chains, 1))
        starts = jnp.where(anew, data, starts)
    return chosen, starts
