r"""Drawing a value from unnormalised log-probabilities by the inverse of the distribution function.

Of two values the less probable one, of probability $q = 1 / (1 + e^{|d|})$ at a difference d of the logarithms, is
taken where a number of 32 random bits lies below q: a step of $2^{-32}$, and no value of probability zero is ever
taken. Of more values the sums $\sum_{j \le k} p_j$ are compared with one number of 24 bits, a step of $2^{-24}$.
"""

import functools
import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

MOST_WRITTEN = 32  # values whose weights are added up one after the other


def higher_chosen(odds: Float[Array, "..."], words: UInt32[Array, "..."]) -> Bool[Array, "..."]:
    """Whether the second of two values is drawn, given the logarithm of the odds for it (not so where they are NaN)."""
    small = 1 / (1 + jnp.exp(jnp.abs(odds)))
    return (odds > 0) ^ (words.astype(odds.dtype) * np.asarray(2.0**-32, odds.dtype) < small)


def chosen(heights: Float[Array, "values ..."], words: UInt32[Array, "..."]) -> Int[Array, "..."]:
    """The number of the value drawn, given unnormalised log-probabilities along the first axis; NaN counts as none.

    >>> chosen(jnp.log(jnp.array([[0.5], [0.0], [0.5]])), jnp.array([2**31 + 5], "uint32")).tolist()
    [2]
    """
    heights = jnp.where(jnp.isnan(heights), -jnp.inf, heights)
    if len(heights) == 2:
        odds = heights[1] - heights[0]
        return higher_chosen(odds, words).astype(jnp.int32)
    top = jnp.max(heights, 0)
    weights = jnp.where(jnp.isinf(top), heights == top, jnp.exp(heights - jnp.where(jnp.isinf(top), 0, top)))
    if len(heights) > MOST_WRITTEN:
        sums = jnp.cumsum(weights, 0, dtype=heights.dtype)
        return jnp.minimum(jnp.sum(sums <= _level(words, sums[-1]), 0), len(heights) - 1).astype(jnp.int32)
    parts = [weights[number].astype(heights.dtype) for number in range(len(heights))]
    level = _level(words, functools.reduce(jnp.add, parts))
    below = [(total <= level).astype(jnp.int32) for total in itertools.accumulate(parts)]
    return functools.reduce(jnp.add, below[:-1])


def _level(words: UInt32[Array, "..."], total: Float[Array, "..."]) -> Float[Array, "..."]:
    """A number between zero and a sum of weights."""
    return (words >> 8).astype(total.dtype) * np.asarray(2.0**-24, total.dtype) * total
