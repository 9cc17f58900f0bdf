r"""Drawing a value from unnormalised log-probabilities by the inverse of the distribution function.

Of two values the less probable one, of probability $q = 1 / (1 + e^{|d|})$ at a difference d of the logarithms, is
taken where a number of 32 random bits lies below q: a step of $2^{-32}$, and no value of probability zero is ever
taken. Of more values the sums $\sum_{j \le k} p_j$ are compared with one number of 24 bits, a step of $2^{-24}$.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32


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
    sums = jnp.cumsum(weights, 0, dtype=heights.dtype)
    level = (words >> 8).astype(heights.dtype) * np.asarray(2.0**-24, heights.dtype) * sums[-1]
    return jnp.minimum(jnp.sum(sums <= level, 0), len(heights) - 1).astype(jnp.int32)
