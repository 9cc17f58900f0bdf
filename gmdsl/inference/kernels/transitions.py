"""A few transitions of a sampler with the settings it was given: what learning by chains needs."""

from typing import Any

from jaxtyping import Array, Float

from gmdsl.inference.adapter import adapters_of
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.target import Target


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
    return sampler.advance(key, target, x, steps)
