"""Chains in tiles: so many at a time, where more side by side would be slow."""

from typing import Any

import jax
import jax.numpy as jnp

WIDEST = 128  # chains side by side at most before XLA's CPU code falls off a cliff


def in_tiles(several: Any, chains: Any, size: int) -> Any:
    """What a function makes of so many chains at a time, and then of those that are left over."""
    count = jax.tree.leaves(chains)[0].shape[0] // size
    whole = jax.tree.map(lambda a: a[: count * size].reshape(count, size, *a.shape[1:]), chains)
    found = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), jax.lax.map(several, whole))
    if jax.tree.leaves(chains)[0].shape[0] == count * size:
        return found
    rest = several(jax.tree.map(lambda a: a[count * size :], chains))
    return jax.tree.map(lambda a, b: jnp.concatenate((a, b)), found, rest)


def tile_size(chains: int) -> int:
    """How many chains are run side by side at a time: a divisor of their number, where a good one exists.

    >>> tile_size(1000), tile_size(10_000), tile_size(257)
    (125, 125, 128)
    """
    divisors = [n for n in range(32, WIDEST + 1) if chains % n == 0]
    return max(divisors, default=WIDEST)
