"""Means and maxima over the chains of a run, from inside the code of one chain.

The driver runs chains side by side under a named axis, and on several devices under a second one. What is written for
one chain can so speak of all of them, for adaptation that pools what the chains have seen. Where chains do not run side
by side there is no such axis, and a chain speaks of itself alone.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

DEVICES = "chains"  # the axis of a mesh
LANES = "lanes"  # the chains side by side on one device


def mean_over_chains(x: Any) -> Any:
    """The mean of each array of a pytree over all chains, the same in each.

    >>> import jax, jax.numpy as jnp
    >>> jax.vmap(mean_over_chains, axis_name="lanes")(jnp.array([1.0, 2.0, 6.0])).tolist()
    [3.0, 3.0, 3.0]
    """
    axes = _axes()
    return jax.lax.pmean(x, axes) if axes else x


def max_over_lanes(x: Array) -> Array:
    """The largest value of an array over the chains side by side on one device, the same in each.

    A loop that is as long as the longest of them asks for it: said so, its length is one number and nothing is masked.
    """
    if not _bound(LANES):
        return x
    return jax.lax.pmax(x.astype(jnp.int32), LANES).astype(bool) if x.dtype == bool else jax.lax.pmax(x, LANES)


def all_chains(x: Any) -> Any:
    """Each array of a pytree with a new leading axis, one entry per chain, the same in each chain.

    >>> import jax, jax.numpy as jnp
    >>> jax.vmap(all_chains, axis_name="lanes")(jnp.array([1.0, 2.0])).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    for axis in _axes()[:1]:
        x = jax.lax.all_gather(x, axis)
    if len(_axes()) == 2:
        x = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), jax.lax.all_gather(x, DEVICES))
    return x if _axes() else jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], x)


def chain_count() -> int:
    """How many chains run side by side; 1 where a chain is on its own.

    >>> import jax, jax.numpy as jnp
    >>> jax.vmap(lambda x: x * chain_count(), axis_name="lanes")(jnp.ones(3)).tolist()
    [3.0, 3.0, 3.0]
    """
    return math.prod(jax.lax.axis_size(axis) for axis in _axes())


def _axes() -> tuple[str, ...]:
    """The axes of chains that are there, the innermost first."""
    return tuple(axis for axis in (LANES, DEVICES) if _bound(axis))


def _bound(axis: str) -> bool:
    try:
        jax.lax.axis_size(axis)
    except NameError:
        return False
    return True
