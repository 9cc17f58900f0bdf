r"""Chains side by side on the last axis of arrays, where they lie next to each other in memory.

A map over chains puts them on the first axis. Then a variable that looks its neighbours up reads one number here and
one there, for each chain anew. With the chains on the last axis a neighbour is a row, read at once, and what is known
of a variable serves the whole row.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

type Words = tuple[Array, Array]


def abreast(function: Callable[[Words, Any, Array], Any], words: Words, numbers: Any, x: Array) -> Any:
    """A function of columns, one for each chain, done for one chain; a map over chains gives it all of them at once.

    Args:
        function: from words of keys (chains), numbers and variables (dim, chains) to arrays whose last axis is that of
            chains.
        words: of the key of one chain.
        numbers: that all chains share; where they do not, chains are mapped over as usual.
        x: the variables of one chain.

    >>> double = lambda words, numbers, x: numbers * x
    >>> zero = jnp.uint32(0)
    >>> one = lambda x: abreast(double, (zero, zero), jnp.array(2.0), x)
    >>> jax.vmap(one)(jnp.arange(6.0).reshape(2, 3)).tolist()
    [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]
    """

    @jax.custom_batching.custom_vmap
    def chain(words: Words, numbers: Any, x: Array) -> Any:
        return _alone(function, words, numbers, x)

    @chain.def_vmap
    def chains(size: int, mapped: Any, words: Words, numbers: Any, x: Array) -> Any:
        if any(jax.tree.leaves(mapped[1])):
            axes = jax.tree.map(lambda is_mapped: 0 if is_mapped else None, tuple(mapped))
            found = jax.vmap(lambda *given: _alone(function, *given), axes)(words, numbers, x)
        else:
            (first, second), wide = _columns(size, (words, x), (mapped[0], mapped[2]))
            found = jax.tree.map(lambda out: jnp.moveaxis(out, -1, 0), function((first, second), numbers, wide))
        return found, jax.tree.map(lambda _: True, found)

    return chain(words, numbers, x)


def _alone(function: Any, words: Words, numbers: Any, x: Array) -> Any:
    """One chain: the only column."""
    found = function((words[0][None], words[1][None]), numbers, x[:, None])
    return jax.tree.map(lambda out: out[..., 0], found)


def _columns(size: int, arrays: Any, mapped: Any) -> Any:
    """Arrays with a last axis of chains."""

    def column(array: Array, is_mapped: bool) -> Array:
        wide = jnp.moveaxis(array, 0, -1) if is_mapped else array[..., None]
        return jnp.broadcast_to(wide, (*wide.shape[:-1], size))

    return jax.tree.map(column, arrays, tuple(mapped))
