"""A few transitions of a sampler inside of something else, which asks for no more than where the chain ends."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.random.keys import step_key
from gmdsl.inference.adapter import adapters_of
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.target import Target


def transitions(
    sampler: Sampler, key: Array, target: Target, x: Float[Array, " dim"], steps: int
) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
    """The position after some transitions, and the mean acceptance rate (NaN where none is reported).

    A sampler that gets there with fewer evaluations of the density gives a method `advance` of these arguments beside
    its `step`. One that is inherited by a class with another `step` does not count.

    Args:
        sampler: its settings are used as they are; metrics start as the identity.
        key: a random key of which nothing else is made.
        target: the density.
        x: where the chain is.
        steps: transitions.
    """
    for adapter in adapters_of(sampler):
        _, sampler = adapter.start(sampler, target.dim)
    advance = _own_way(sampler)
    return _step_by_step(sampler, key, target, x, steps) if advance is None else advance(key, target, x, steps)


def _own_way(sampler: Sampler) -> Any:
    """The method `advance` of a sampler where it belongs to its `step`."""
    for kind in type(sampler).__mro__:
        if "advance" in vars(kind):
            return sampler.advance  # ty: ignore[missing-attribute]
        if "step" in vars(kind):
            return None
    return None


def _step_by_step(sampler: Sampler, key: Array, target: Target, x: Any, steps: int) -> tuple[Array, Array]:
    def step(i: Array, at: Any) -> Any:
        state, total = at
        state, stats = sampler.step(step_key(key, i + 1), target, state)
        return state, (total + stats.get("acceptance_rate", jnp.nan)).astype(total.dtype)

    start = (sampler.init(step_key(key, jnp.int32(0)), target, x), jnp.zeros((), jnp.result_type(x.dtype, 1.0)))
    state, total = jax.lax.fori_loop(0, steps, step, start)
    return sampler.position(state), total / max(steps, 1)
