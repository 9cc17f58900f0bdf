r"""Bits of many colours, as where all interact: one after the other, with fields by products of matrices.

The field of one bit costs as many multiplications as there are variables, and as many numbers are read for it: memory
is what takes the time. So the fields of a block of bits are found together, by one product of matrices with the bits of
all chains, and corrected as one of them after the other changes,

$$f_i = b_i + \sum_j G_{ij} u_j + \sum_{j < i,\ j \in \text{block}} G_{ij} (u_j' - u_j),$$

with the bits u before the block and u' after their draw. This is the field at the time when $u_i$ is drawn, as it is
without blocks.

Reference:
    The delayed updates of Alvarez et al., *New algorithm to enhance the sampling of quantum Monte Carlo*, 2008, for
    fields instead of Green's functions.
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
from gmdsl.exact.conditionals.two_values import BitOdds

BLOCK = 16  # bits whose fields are found together


def by_blocks(pairs: csr_array, sweeps: int, words: Words, odds: BitOdds, up: Array) -> tuple[Array, Array, Array]:
    """The bits after some sweeps, how many changed, and whether the odds were NaN.

    Args:
        pairs: which variables interact.
        sweeps: how many.
        words: of the keys (chains).
        odds: of the bits.
        up: the bits (dim, chains), as numbers.
    """
    kind, up = up.dtype, up.astype(odds.base.dtype)
    dim, chains = up.shape
    rows, count = np.repeat(np.arange(dim), np.diff(pairs.indptr)), -(-dim // BLOCK)
    size = count * BLOCK
    # Bits that fill up the last block meet nothing and are never one.
    matrix = jnp.zeros((size, size), up.dtype).at[rows, pairs.indices].set(odds.gains)
    base = jnp.full(size, -jnp.inf, up.dtype).at[:dim].set(odds.base)[:, None]
    inside = matrix.reshape(count, BLOCK, count, BLOCK)[np.arange(count), :, np.arange(count)].swapaxes(1, 2)
    start = jnp.zeros((size, chains), up.dtype).at[:dim].set(up)

    def block(number: Array, b: Array, at: Any) -> Any:
        up, changed, broken = at
        cut = lambda whole: jax.lax.dynamic_slice_in_dim(whole, b * BLOCK, BLOCK)  # noqa: E731
        old = cut(up)
        drawn = word_rows(words, number, BLOCK, b * BLOCK)

        def one(fields: Array, of: Any) -> Any:
            column, word, before, row = of
            new = higher_chosen(fields[row], word).astype(up.dtype)
            return fields + column[:, None] * (new - before), (new, jnp.isnan(fields[row]))

        of = inside[b], drawn, old, jnp.arange(BLOCK)
        _, (new, nan) = jax.lax.scan(one, cut(base) + cut(matrix) @ up, of)
        changed = changed + jnp.sum(new != old, 0, dtype=jnp.int32)
        return jax.lax.dynamic_update_slice_in_dim(up, new, b * BLOCK, 0), changed, broken | nan.any(0)

    def sweep(number: Array, at: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda b, at: block(number, b, at), at)

    nothing = jnp.zeros(chains, jnp.int32), jnp.zeros(chains, bool)
    up, changed, broken = jax.lax.fori_loop(0, sweeps, sweep, (start, *nothing))
    return up[:dim].astype(kind), changed, broken
