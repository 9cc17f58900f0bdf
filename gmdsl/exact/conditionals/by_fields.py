r"""Bits of few colours, each by the fields of all variables of one colour: as lattices and layers have.

Chains lie side by side (`gmdsl.exact.conditionals.abreast`). Bits are bytes, a quarter of the memory of floats; where a
field is a product with a matrix, it is one with the bits of all chains.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.sparse import csr_array

from gmdsl.core.random.threefry import word_rows
from gmdsl.exact.conditionals.abreast import Words
from gmdsl.exact.conditionals.choice import higher_chosen
from gmdsl.exact.conditionals.fields import field, neighbours, weights
from gmdsl.exact.conditionals.two_values import BitOdds


def by_fields(
    pairs: csr_array, colours: list[np.ndarray], sweeps: int, words: Words, odds: BitOdds, up: Array
) -> tuple[Array, Array, Array]:
    """The bits after some sweeps, how many changed, and whether the odds were NaN.

    Args:
        pairs: which variables interact.
        colours: the variables of each colour.
        sweeps: how many.
        words: of the keys (chains).
        odds: of the bits.
        up: the bits (dim, chains), as bytes.
    """
    near = neighbours(pairs, colours)
    if any(one.kind == "lookups" for one in near):  # those of as many neighbours side by side
        degree = np.diff(pairs.indptr)
        colours = [group[np.argsort(-degree[group], kind="stable")] for group in colours]
        near = neighbours(pairs, colours)
    sizes, order = [len(group) for group in colours], np.concatenate(colours)
    ends = np.cumsum(sizes)[:-1]
    own = [weights(n, size, sizes, odds.gains) for n, size in zip(near, sizes, strict=True)]
    base, starts = [odds.base[group][:, None] for group in colours], [0, *ends.tolist()]

    def sweep(number: Array, at: Any) -> Any:
        parts, changed, broken = at
        for c, size in enumerate(sizes):
            found = base[c] + field(near[c], size, own[c], parts)
            new = higher_chosen(found, word_rows(words, number, size, starts[c])).astype(up.dtype)
            changed = changed + jnp.sum(new != parts[c], 0, dtype=jnp.int32)
            broken = broken | jnp.isnan(found).any(0)
            parts = (*parts[:c], new, *parts[c + 1 :])
        return parts, changed, broken

    chains = up.shape[1]
    start = (tuple(jnp.split(up[order], ends)), jnp.zeros(chains, jnp.int32), jnp.zeros(chains, bool))
    parts, changed, broken = jax.lax.fori_loop(0, sweeps, sweep, start)
    return jnp.concatenate(parts)[np.argsort(order)], changed, broken
