"""A few transitions of a sampler with the settings it was given: what learning by chains needs."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.adapter import adapters_of
from gmdsl.core.density import Target
from gmdsl.core.keys import step_key
from gmdsl.core.sampler import Sampler


def transitions(
    sampler: Any, key: Array, target: Target, x: Float[Array, " dim"], steps: int
) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
    """The position after some transitions, and the mean acceptance rate (NaN where none is reported).

    Args:
        sampler: its settings are used as they are; metrics start as the identity.
        key: a random key of which nothing else is made.
        target: the density.
        x: where the chain is.
        steps: transitions.
    """
    assert isinstance(sampler, Sampler)
    for adapter in adapters_of(sampler):
        _, sampler = adapter.start(sampler, target.dim)

    def step(i: Array, at: Any) -> Any:
        state, total = at
        state, stats = sampler.step(step_key(key, i + 1), target, state)
        return state, total + stats.get("acceptance_rate", jnp.nan)

    start = (sampler.init(step_key(key, jnp.int32(0)), target, x), jnp.zeros((), x.dtype))
    state, total = jax.lax.fori_loop(0, steps, step, start)
    return sampler.position(state), total / max(steps, 1)
