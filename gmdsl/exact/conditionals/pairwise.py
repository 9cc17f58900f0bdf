r"""Sweeps of variables that meet in pairs, in the way that suits their couplings.

Variables of two values are bits whose odds are sums over neighbours: by words of bits where couplings are of one
strength, by fields colour by colour, or by blocks where there are many colours. Labels of more values, and bits some of
whose weights are zero, take the tables of their neighbours. Numbers that are known only when the program runs choose
there and then.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.sparse import csr_array

from gmdsl.core.jaxprs.tape import is_known
from gmdsl.core.random.threefry import key_words
from gmdsl.exact.conditionals.abreast import abreast
from gmdsl.exact.conditionals.bits import by_words, colour_bits
from gmdsl.exact.conditionals.by_blocks import by_blocks
from gmdsl.exact.conditionals.by_fields import by_fields
from gmdsl.exact.conditionals.by_tables import by_tables
from gmdsl.exact.conditionals.colouring import colouring
from gmdsl.exact.conditionals.couplings import Couplings
from gmdsl.exact.conditionals.pair_tables import PairTables, both_ways, pairs_of, potts_form
from gmdsl.exact.conditionals.traced_bits import traced_colour_bits
from gmdsl.exact.conditionals.two_values import bit_odds

MANY = 256  # variables from which on words of bits are worth it
FEW = 16  # colours that are written out one after the other

type Way = Callable[[Any, Any, Array], tuple[Array, Array, Array]]


def by_couplings(
    key: Array, pairs: csr_array, found: Couplings, first: np.ndarray, gap: np.ndarray, x: Array, sweeps: int
) -> tuple[Array, Array, Array]:
    """Variables of two values after some sweeps, how many changed, and whether odds were NaN.

    Args:
        key: a random key.
        pairs: which variables interact.
        found: their couplings, as numbers or traced.
        first: lower value of each variable.
        gap: its other value less that.
        x: where it begins.
        sweeps: how many.
    """
    slopes = _slopes(found, pairs, first, gap)
    way = _bit_way(pairs, colouring(pairs), (first, gap), (slopes, found.values), sweeps)
    up = (x > jnp.asarray(first + 0.5 * gap)).astype(jnp.int8)
    up, changed, broken = abreast(way, key_words(key), (slopes, found.values), up)
    return jnp.asarray(first) + jnp.asarray(gap) * up.astype(x.dtype), changed, broken


def by_pair_tables(key: Array, found: PairTables, values: Any, x: Array, sweeps: int) -> tuple[Array, Array, Array]:
    """The same for variables of few values, by the tables of their pairs.

    Args:
        key: a random key.
        found: the tables, as numbers or traced.
        values: of each variable how many, the first, and the gap.
        x: where it begins.
        sweeps: how many.
    """
    counts, first, gap = (np.array(column) for column in zip(*values, strict=True))
    pairs, dim = pairs_of(found.edges, len(values)), len(values)
    colours = colouring(pairs)
    tables = functools.partial(by_tables, pairs, colours, sweeps)
    given, potts = (found.fields, both_ways(found, pairs)), potts_form(found)
    if set(counts.tolist()) == {2}:
        special, bounds = (potts.slopes, 2 * potts.along(pairs)), (np.zeros(dim, x.dtype), np.ones(dim, x.dtype))
        way = _bit_way(pairs, colours, bounds, special, sweeps)
    else:
        special, way = (potts.fields, potts.along(pairs)), tables
    n = jnp.round((x - jnp.asarray(first, x.dtype)) / jnp.asarray(gap, x.dtype)).astype(jnp.int8)

    def chosen(words: Any, numbers: Any, n: Array) -> tuple[Array, Array, Array]:
        if is_known(potts.holds):
            return way(words, numbers[0], n) if potts.holds else tables(words, numbers[1], n)
        general = lambda words, numbers, n: tables(words, numbers[1], n)  # noqa: E731
        by_odds = lambda words, numbers, n: way(words, numbers[0], n)  # noqa: E731
        return jax.lax.cond(numbers[2], by_odds, general, words, numbers, n)

    n, changed, broken = abreast(chosen, key_words(key), (special, given, jnp.asarray(potts.holds)), n)
    return (jnp.asarray(first) + jnp.asarray(gap) * n).astype(x.dtype), changed, broken


def _bit_way(pairs: csr_array, colours: list[np.ndarray], bounds: Any, known: Any, sweeps: int) -> Way:
    """How bits are swept: a function of the words of keys, of slopes and couplings, and of bits."""
    (first, gap), few = bounds, len(colours) <= FEW

    def by_odds(words: Any, numbers: Any, up: Array) -> tuple[Array, Array, Array]:
        odds = bit_odds(pairs, *numbers, first, gap)
        return by_fields(pairs, colours, sweeps, words, odds, up) if few else by_blocks(pairs, sweeps, words, odds, up)

    if len(first) < MANY or not few:
        return by_odds
    if all(is_known(number) for number in known):
        slopes, values = (np.asarray(number, float) for number in known)
        plan = colour_bits(pairs, colours, slopes, values, first, gap) if np.isfinite(values).all() else None
        return by_odds if plan is None else lambda words, numbers, up: by_words(plan, colours, sweeps, words, up)

    def either(words: Any, numbers: Any, up: Array) -> tuple[Array, Array, Array]:
        traced_plan = traced_colour_bits(pairs, colours, *numbers, first, gap)
        if traced_plan is None:
            return by_odds(words, numbers, up)
        plan, holds = traced_plan
        by_bits = lambda words, numbers, up: by_words(plan, colours, sweeps, words, up)  # noqa: E731
        return jax.lax.cond(holds, by_bits, by_odds, words, numbers, up)

    return either


def _slopes(found: Couplings, pairs: csr_array, first: np.ndarray, gap: np.ndarray) -> Any:
    """The slope at each variable half-way between its values, where its neighbours are zero."""
    rows = np.repeat(np.arange(len(first)), np.diff(pairs.indptr))
    own = np.flatnonzero(rows == pairs.indices)
    half = (first + 0.5 * gap)[rows[own]]
    if is_known(found.linear) and is_known(found.values):
        linear = np.array(found.linear)
        linear[rows[own]] += np.asarray(found.values)[own] * half
        return linear
    return jnp.asarray(found.linear).at[rows[own]].add(found.values[own] * half)
