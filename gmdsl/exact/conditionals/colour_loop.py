"""Sweeps over the colours of variables in chains side by side: what the ways of drawing a colour have in common."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.core.random.threefry import word_rows
from gmdsl.exact.conditionals.abreast import Words


def colour_sweeps(
    colours: list[np.ndarray],
    sweeps: int,
    words: Words,
    x: Array,
    heights: Callable[[int, tuple[Array, ...]], Array],
    choose: Callable[[Array, Any], Array],
) -> tuple[Array, Array, Array]:
    """The variables after some sweeps, how many changed, and whether a number that decides was NaN, by chain.

    Args:
        colours: the variables of each colour.
        sweeps: how many.
        words: of the keys (chains).
        x: the variables (dim, chains), as bytes.
        heights: what decides about a colour, (..., variables of the colour, chains), by its number and the variables
            of all colours.
        choose: the new variables from that and from random words.
    """
    sizes, order, chains = [len(group) for group in colours], np.concatenate(colours), x.shape[1]
    ends = np.cumsum(sizes)[:-1]
    starts = [0, *ends.tolist()]

    def sweep(number: Array, at: Any) -> Any:
        parts, changed, broken = at
        for c, size in enumerate(sizes):
            found = heights(c, parts)
            new = choose(found, word_rows(words, number, size, starts[c])).astype(x.dtype)
            changed = changed + jnp.sum(new != parts[c], 0, dtype=jnp.int32)
            broken = broken | jnp.isnan(found).any(tuple(range(found.ndim - 1)))
            parts = (*parts[:c], new, *parts[c + 1 :])
        return parts, changed, broken

    start = (tuple(jnp.split(x[order], ends)), jnp.zeros(chains, jnp.int32), jnp.zeros(chains, bool))
    parts, changed, broken = jax.lax.fori_loop(0, sweeps, sweep, start)
    return jnp.concatenate(parts)[np.argsort(order)], changed, broken
