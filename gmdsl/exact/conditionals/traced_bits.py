"""Words of bits for couplings that are known only when the program runs, and tested then for being of one strength.

Data and parameters are arguments of a compiled program. Which variables interact is read off the program, the numbers
are not: the test is part of it, and so are both ways to go on.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.sparse import csr_array

from gmdsl.exact.conditionals.bits import (
    BITS,
    FULL,
    MOST_KINDS,
    SAME,
    ColourBits,
    packed,
    packed_mask,
    planes_of,
)


def traced_colour_bits(
    pairs: csr_array,
    colours: list[np.ndarray],
    alone: Float[Array, " dim"],
    values: Float[Array, " pairs"],
    first: np.ndarray,
    gap: np.ndarray,
) -> tuple[list[ColourBits], Bool[Array, ""]] | None:
    """How all colours are drawn by bits if a condition holds, and that condition; None where neighbours lie anywhere.

    Variables of a colour with as many neighbours are taken to be alike, and all couplings of a colour to be of one
    strength; the condition says whether that is so. Arguments are those of `colour_bits`.
    """
    if np.ptp(first) or np.ptp(gap):
        return None
    words = -(-max(len(group) for group in colours) // BITS)
    colour, place = np.zeros(len(first), int), np.zeros(len(first), int)
    for number, group in enumerate(colours):
        colour[group], place[group] = number, np.arange(len(group))
    i, j = np.repeat(np.arange(len(first)), np.diff(pairs.indptr)), pairs.indices
    found, holds = [], jnp.ones((), bool)
    for number, group in enumerate(colours):
        own = np.flatnonzero((colour[i] == number) & (i != j))
        gain = gap[0] ** 2 * values[own]
        strength = jnp.mean(jnp.abs(gain)) if len(own) else jnp.zeros((), values.dtype)
        base = gap[0] * alone.at[i[own]].add(values[own] * first[0])
        base = base.at[i[own]].add(jnp.minimum(gain, 0))[group]
        degree = np.bincount(place[i[own]], minlength=len(group))
        planes = planes_of(place[i[own]], place[j[own]], colour[j[own]], np.zeros(len(own), bool), words)
        if planes is None or sum(int(d) + 1 for d in np.unique(degree)) > MOST_KINDS:
            return None
        negative = jnp.zeros(BITS * words, bool)
        signed = []
        for plane, numbers in zip(planes, _by_plane(place[i[own]], place[j[own]], colour[j[own]], words), strict=True):
            down = negative.at[place[i[own][numbers]]].set(gain[numbers] < 0)
            signed.append(plane._replace(negative=packed(down, words)))
        kinds, middle = _kinds(base, degree, strength, words)
        spread = jnp.abs(jnp.abs(gain) - strength).max(initial=0.0)
        scale = jnp.abs(base).max() + strength
        holds &= (spread <= SAME * strength) & (jnp.abs(base - middle).max() <= SAME * scale)
        real = packed_mask(np.arange(len(group)), words)
        found.append(ColourBits(tuple(signed), int(degree.max(initial=0)).bit_length(), kinds, real))
    return found, holds


def _by_plane(rows: np.ndarray, columns: np.ndarray, colours: np.ndarray, words: int) -> list[np.ndarray]:
    """The numbers of the pairs of each plane, in the order of `planes_of`."""
    if not len(rows):
        return []
    keys, which = np.unique(np.stack([colours, (columns - rows) % (BITS * words)]), axis=1, return_inverse=True)
    return [np.flatnonzero(which.ravel() == k) for k in range(keys.shape[1])]


def _kinds(base: Array, degree: np.ndarray, strength: Array, words: int) -> tuple[Any, Array]:
    """The kinds of a colour by numbers of neighbours, and the level that each variable is taken to have."""
    found, middle = [], jnp.zeros_like(base)
    for count_of in np.unique(degree):
        mine = np.flatnonzero(degree == count_of)
        level = jnp.mean(base[mine])
        middle = middle.at[mine].set(level)
        mask = packed_mask(mine, words)
        found += [(mask, count, _as_word(level + strength * count)) for count in range(int(count_of) + 1)]
    return tuple(found), middle


def _as_word(odds: Array) -> Array:
    """The probability of the second value in units of 2^-32, as precise near one as near zero."""
    small = 2.0**BITS / (1 + jnp.exp(jnp.abs(odds)))
    word = jnp.round(small).astype(jnp.uint32)
    return jnp.where(odds > 0, FULL - word, word)
