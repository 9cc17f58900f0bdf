r"""Gibbs sampling of 32 variables in one word: multi-spin coding, for couplings of one strength.

Where all couplings of a colour have the same size, the odds of a variable depend only on how many of its neighbours
are up: $\log(p_1 / p_0) = a + g n$. Variables of one colour are the bits of some words; a neighbour is a word further
on, turned around by some bits. The numbers n are added bit by bit, with the carries of a full adder.

A variable becomes 1 where a random number $u < p_n$. Both are compared bit by bit from the highest on, for 32 variables
at once, until all are decided, after 32 bits at most: so probabilities are those of a step of $2^{-32}$, and most words
take some ten random bits for each variable. Each chain has random bits of its own.

Reference:
    Jacobs and Rebbi, *Multi-spin coding: a very efficient technique for Monte Carlo simulations of spin systems*,
    Journal of Computational Physics, 1981.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32
from scipy.sparse import csr_array

from gmdsl.core.random.threefry import threefry
from gmdsl.exact.conditionals.fields import MOST_OFFSETS

BITS = 32  # variables in a word
FULL = np.uint32(2**BITS - 1)
FIRST = 8  # bits of a random number that are looked at in any case
MOST_KINDS = 48  # of probabilities in one colour
SAME = 1e-5  # couplings that differ by less, relative to the largest, are of one strength


class Plane(NamedTuple):
    """Neighbours of the variables of a colour, the same number of places away.

    Attributes:
        colour: where they are.
        offset: how many places away, counted around.
        present: the bits of the variables that have such a neighbour.
        negative: those for which it counts where it is down; may be traced.
    """

    colour: int
    offset: int
    present: np.ndarray
    negative: Any


class ColourBits(NamedTuple):
    """How the variables of one colour are drawn.

    Attributes:
        planes: their neighbours.
        width: bits of the number of neighbours.
        kinds: triples of the bits of some variables, a number of neighbours, and their probability to be 1 in units of
            2^-32, which may be traced.
        real: the bits that are variables; others fill up the last words.
    """

    planes: tuple[Plane, ...]
    width: int
    kinds: tuple[tuple[np.ndarray, int, Any], ...]
    real: np.ndarray


def colour_bits(
    pairs: csr_array,
    colours: list[np.ndarray],
    alone: np.ndarray,
    values: np.ndarray,
    first: np.ndarray,
    gap: np.ndarray,
) -> list[ColourBits] | None:
    """How all colours are drawn by bits; None where couplings are of several strengths or neighbours lie anywhere.

    Args:
        pairs: which variables interact.
        colours: the variables of each colour.
        alone: the linear part of the log-density at each variable.
        values: couplings of the pairs.
        first: lower value of each variable.
        gap: its other value less that.
    """
    words = -(-max(len(group) for group in colours) // BITS)
    colour, place = np.zeros(len(first), int), np.zeros(len(first), int)
    for number, group in enumerate(colours):
        colour[group], place[group] = number, np.arange(len(group))
    i, j = np.repeat(np.arange(len(first)), np.diff(pairs.indptr)), pairs.indices
    found = []
    for number, group in enumerate(colours):
        own = (colour[i] == number) & (i != j) & (values != 0)
        gain = gap[i[own]] * values[own] * gap[j[own]]
        strength = np.abs(gain).max(initial=0.0)
        if np.ptp(np.abs(gain)) > SAME * strength if len(gain) else False:
            return None
        base = alone.copy()
        np.add.at(base, i[own], values[own] * first[j[own]])
        base *= gap
        np.add.at(base, i[own], np.minimum(gain, 0))
        edges = place[i[own]], place[j[own]], colour[j[own]], gain < 0
        planes = planes_of(*edges, words)
        degree = np.bincount(place[i[own]], minlength=len(group))
        kinds = _kinds(base[group], degree, float(np.abs(gain).mean()) if len(gain) else 0.0, words)
        if planes is None or kinds is None:
            return None
        real = packed_mask(np.arange(len(group)), words)
        found.append(ColourBits(planes, int(degree.max(initial=0)).bit_length(), kinds, real))
    return found


def planes_of(rows: np.ndarray, columns: np.ndarray, colours: np.ndarray, negative: np.ndarray, words: int) -> Any:
    """The neighbours of a colour by other colour and offset; None where there are too many of these.

    Args:
        rows: of each pair the variable, by its place in its colour.
        columns: the neighbour, by its place in its own.
        colours: that of the neighbour.
        negative: whether the coupling is.
        words: of each colour.
    """
    if not len(rows):
        return ()
    size = BITS * words
    offsets = (columns - rows) % size
    keys, which = np.unique(np.stack([colours, offsets]), axis=1, return_inverse=True)
    if keys.shape[1] > MOST_OFFSETS:
        return None
    masks = [which.ravel() == k for k in range(keys.shape[1])]
    return tuple(
        Plane(int(c), int(d), packed_mask(rows[mask], words), packed_mask(rows[mask & negative], words))
        for (c, d), mask in zip(keys.T, masks, strict=True)
    )


def _kinds(base: np.ndarray, degree: np.ndarray, gain: float, words: int) -> Any:
    """The probabilities that occur, and whose they are."""
    scale = np.abs(base).max(initial=0.0) + gain
    rounded = np.round(base / (SAME * scale)) if scale else np.zeros_like(base)
    levels, which = np.unique(rounded, return_inverse=True)
    if len(levels) > MOST_KINDS:
        return None
    found = []
    for level in range(len(levels)):
        mine = which.ravel() == level
        for count in range(int(degree[mine].max()) + 1):
            chance = 1 / (1 + np.exp(-(base[mine].mean() + gain * count)))
            number = min(int(np.round(chance * 2.0**BITS)), int(FULL))
            found.append((packed_mask(np.flatnonzero(mine), words), count, number))
    return tuple(found) if len(found) <= MOST_KINDS else None


def packed_mask(places: np.ndarray, words: int) -> UInt32[np.ndarray, " words"]:
    """Words with the bits at some places set: place p is bit p // words of word p % words."""
    bits = np.zeros(BITS * words, np.uint64)
    bits[places] = 1
    shifted = bits.reshape(BITS, words) << np.arange(BITS, dtype=np.uint64)[:, None]
    return shifted.sum(0).astype(np.uint32)


def packed(up: Array, words: int) -> UInt32[Array, " words"]:
    """The words of some truth values.

    >>> packed(jnp.arange(40) % 3 == 0, 2).tolist()
    [299593, 599186]
    """
    filled = jnp.pad(up.astype(jnp.uint32), (0, BITS * words - len(up))).reshape(BITS, words)
    return jnp.sum(filled << jnp.arange(BITS, dtype=jnp.uint32)[:, None], 0, dtype=jnp.uint32)


def unpacked(words: UInt32[Array, " words"], size: int) -> Array:
    """The truth values of some words."""
    return ((words >> jnp.arange(BITS, dtype=jnp.uint32)[:, None]) & 1).astype(bool).reshape(-1)[:size]


def by_words(
    plan: list[ColourBits], colours: list[np.ndarray], sweeps: int, words: tuple[Array, Array], up: Array
) -> tuple[Array, Array, Array]:
    """The bits after some sweeps, how many changed, and that no odds were NaN.

    Args:
        plan: how each colour is drawn.
        colours: the variables of each.
        sweeps: how many.
        words: of the keys (chains).
        up: the bits (dim, chains), as numbers.
    """
    order, sizes, size = np.concatenate(colours), [len(group) for group in colours], len(plan[0].real)

    def chain(words: tuple[Array, Array], up: Array) -> tuple[Array, Array]:
        parts = jnp.split(up[order] > 0, np.cumsum(sizes)[:-1])
        parts, changed = bit_sweeps(words, plan, tuple(packed(part, size) for part in parts), sweeps)
        bits = jnp.concatenate([unpacked(part, count) for part, count in zip(parts, sizes, strict=True)])
        return bits[np.argsort(order)].astype(up.dtype), changed

    up, changed = jax.vmap(chain, (0, 1), (1, 0))(words, up)
    return up, changed, jnp.zeros(changed.shape, bool)


def bit_sweeps(
    words: tuple[Array, Array], plan: list[ColourBits], parts: tuple[UInt32[Array, " words"], ...], sweeps: int
) -> tuple[tuple[Array, ...], Array]:
    """The words of all colours after some sweeps, and how many variables changed in all of them."""

    def sweep(number: Array, at: Any) -> Any:
        parts, changed = at
        for c, own in enumerate(plan):
            new = _drawn(words, number.astype(jnp.uint32), c, own, _kinds_now(own, parts))
            flipped = (new ^ parts[c]) & own.real
            changed = changed + jnp.sum(jax.lax.population_count(flipped).astype(jnp.int32), dtype=jnp.int32)
            parts = (*parts[:c], new, *parts[c + 1 :])
        return parts, changed

    return jax.lax.fori_loop(0, sweeps, sweep, (parts, jnp.zeros((), jnp.int32)))


def _kinds_now(own: ColourBits, parts: tuple[Array, ...]) -> list[tuple[Array, Any]]:
    """Which variables have which probability."""
    size = parts[0].shape[0]
    wide: dict[tuple[int, int], Array] = {}
    count = [jnp.zeros(size, jnp.uint32)] * own.width
    for plane in own.planes:
        turns, start = divmod(plane.offset, size)
        if (plane.colour, turns) not in wide:
            part = parts[plane.colour]
            wide[plane.colour, turns] = jnp.concatenate([_turned(part, turns), _turned(part, turns + 1)])
        carry = (wide[plane.colour, turns][start : start + size] ^ plane.negative) & plane.present
        for bit in range(own.width):
            count[bit], carry = count[bit] ^ carry, count[bit] & carry
    found = []
    for mask, number, chance in own.kinds:
        for bit in range(own.width):
            mask = mask & (count[bit] if number >> bit & 1 else ~count[bit])
        found.append((jnp.asarray(mask, jnp.uint32), chance))
    return found


def _turned(words: Array, by: int) -> Array:
    """Words whose bit b is what bit b + by was."""
    by %= BITS
    return words if by == 0 else (words >> np.uint32(by)) | (words << np.uint32(BITS - by))


def _drawn(key: Any, number: Array, colour: int, own: ColourBits, kinds: list[tuple[Array, Any]]) -> Array:
    """New bits: 1 where a random number lies below the probability."""
    size = len(own.real)
    places = jnp.arange(size, dtype=jnp.uint32)
    known = all(isinstance(chance, int) for _, chance in kinds)
    listed = [np.uint32(chance) if known else chance for _, chance in kinds]

    def two_bits(j: Any, below: Array, open_: Array) -> tuple[Array, Array]:
        place = places + (jnp.asarray(j, jnp.uint32) + np.uint32(colour * BITS // 2)) * np.uint32(size)
        for k, random in enumerate(threefry(key, (place, number))):
            level = jnp.asarray(BITS - 1 - k, jnp.uint32) - jnp.asarray(2, jnp.uint32) * jnp.asarray(j, jnp.uint32)
            wanted = jnp.zeros(size, jnp.uint32)
            for (mask, chance), numbers in zip(kinds, listed, strict=True):
                if known and isinstance(j, int):
                    wanted = wanted | mask if chance >> (BITS - 1 - k - 2 * j) & 1 else wanted
                else:
                    wanted = wanted | (mask & -((numbers >> level) & np.uint32(1)))
            below, open_ = below | (open_ & wanted & ~random), open_ & ~(random ^ wanted)
        return below, open_

    below, open_ = jnp.zeros(size, jnp.uint32), jnp.full(size, FULL)
    for j in range(FIRST // 2):
        below, open_ = two_bits(j, below, open_)

    def more(at: Any) -> Any:
        return at[0] + 1, *two_bits(*at)

    undecided = lambda at: (at[0] < BITS // 2) & (at[2] != 0).any()  # noqa: E731
    return jax.lax.while_loop(undecided, more, (jnp.asarray(FIRST // 2, jnp.int32), below, open_))[1]
