r"""Vectors that are longer than a cache, in pieces that fit: one pass over memory where XLA would make several.

On a CPU an operation of a hundred thousand numbers takes as long as its reads and writes. XLA writes every vector that
two sums share, and a row of an array is written even where nobody will read it. Here loops go over pieces of a few
kilobytes: sums are made in the registers that a piece fills, and a row that is not wanted takes no turn of the loop.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

LONG = 2**14  # numbers from which on a vector goes in pieces; shorter ones stay in a cache by themselves
PIECE = 2**11


def is_long(vector: Float[Array, " dim"]) -> bool:
    """Whether a vector is worth pieces; never on an accelerator, where each turn of a loop waits for its host."""
    return vector.shape[-1] >= LONG and jax.default_backend() == "cpu"


def sums(dim: int, terms: Callable[[Callable[..., Array]], tuple[Array, ...]], count: int, dtype: Any) -> list[Array]:
    """Sums over all entries of some functions of vectors.

    Args:
        dim: length of the vectors.
        terms: from a function that cuts the same piece out of vectors, or out of one row of an array
            (`piece(rows, row)`), the terms of each sum there.
        count: how many sums there are.
        dtype: of the sums.

    >>> import jax.numpy as jnp
    >>> x = jnp.arange(5000.0)
    >>> [float(total) for total in sums(5000, lambda piece: (0.0 * piece(x) + 1.0,), 1, x.dtype)]
    [5000.0]
    """

    def add(i: Array, totals: Any) -> Any:
        start = jnp.minimum(i * PIECE, dim - PIECE)  # the last piece reaches back over some that are counted already
        new = start + jnp.arange(PIECE) >= i * PIECE
        return tuple(t + jnp.where(new, term, 0.0) for t, term in zip(totals, terms(_cutter(start)), strict=True))

    whole = dim // PIECE
    zeros = tuple(jnp.zeros(PIECE, dtype) for _ in range(count))
    plain = lambda i, totals: tuple(  # noqa: E731
        t + term for t, term in zip(totals, terms(_cutter(i * PIECE)), strict=True)
    )
    totals = jax.lax.fori_loop(np.int32(0), np.int32(whole), plain, zeros)
    if dim % PIECE:
        totals = add(jnp.int32(whole), totals)
    return [total.sum() for total in totals]


def _cutter(start: Array) -> Callable[..., Array]:
    def piece(vector: Array, row: Any = None) -> Array:
        if row is None:
            return jax.lax.dynamic_slice(vector, (start,), (PIECE,))
        return jax.lax.dynamic_slice(vector, (jnp.asarray(row, start.dtype), start), (1, PIECE))[0]

    return piece


@jax.custom_batching.custom_vmap
def with_row(
    rows: Float[Array, "n dim"], row: Int[Array, ""], vector: Float[Array, " dim"], wanted: Bool[Array, ""]
) -> Float[Array, "n dim"]:
    """The rows with a vector in place of one of them, where that is wanted; nothing is written where it is not."""
    dim = vector.shape[0]

    def put(i: Array, rows: Array) -> Array:
        start = jnp.minimum(i * PIECE, dim - PIECE)
        return jax.lax.dynamic_update_slice(rows, _cutter(start)(vector)[None], (row.astype(start.dtype), start))

    return jax.lax.fori_loop(np.int32(0), jnp.where(wanted, np.int32(-(-dim // PIECE)), 0), put, rows)


@with_row.def_vmap
def _side_by_side(
    size: int, batched: list[bool], rows: Array, row: Array, vector: Array, wanted: Array
) -> tuple[Array, bool]:
    """Chains side by side: a loop would turn for all of them as often as for the longest."""
    del size

    def one(rows: Array, row: Array, vector: Array, wanted: Array) -> Array:
        return rows.at[row].set(jnp.where(wanted, vector, rows[row]))

    return jax.vmap(one, [0 if axis else None for axis in batched])(rows, row, vector, wanted), True
