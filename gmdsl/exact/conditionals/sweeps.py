r"""Sweeps of Gibbs sampling over discrete variables, a colour at a time, in the way that suits the traced density.

A density that is quadratic in variables of two values is swept by its couplings and fields; any other by the terms
that contain the variables of a colour. Both leave the law invariant: given the rest, variables of one colour are
independent, so that to draw them at once is to draw them in turn.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gmdsl.core.jaxprs.tape import is_known, traced
from gmdsl.core.random.threefry import key_words, random_words
from gmdsl.exact.conditionals.abreast import abreast
from gmdsl.exact.conditionals.bits import by_words, colour_bits
from gmdsl.exact.conditionals.by_blocks import by_blocks
from gmdsl.exact.conditionals.by_fields import by_fields
from gmdsl.exact.conditionals.choice import chosen
from gmdsl.exact.conditionals.colouring import colouring
from gmdsl.exact.conditionals.couplings import Couplings, couplings, is_quadratic, known_couplings
from gmdsl.exact.conditionals.interactions import interactions, without_constants
from gmdsl.exact.conditionals.local_terms import LocalTerms, local_terms
from gmdsl.exact.conditionals.traced_bits import traced_colour_bits
from gmdsl.exact.conditionals.two_values import bit_odds

MANY = 256  # variables from which on words of bits are worth it
FEW = 16  # colours that are written out one after the other; more are a loop

type Values = tuple[tuple[int, float, float], ...]  # how many, the first, the gap, of each variable


class Swept(NamedTuple):
    """After some sweeps.

    Attributes:
        x: the variables.
        changed: how many changed, all sweeps together.
        broken: whether a density was NaN.
    """

    x: Float[Array, " dim"]
    changed: Array
    broken: Bool[Array, ""]


def swept(key: Array, density: Callable[[Array], Array], values: Values, x: Float[Array, " dim"], sweeps: int) -> Swept:
    """Some sweeps over all variables.

    Args:
        key: a random key.
        density: the log-density of the vector, up to a constant; arrays that it closes over may be traced.
        values: of each variable.
        x: where it begins; one of the values at each place.
        sweeps: how many.
    """
    program = traced(lambda v: density(v["x"]), {"x": x}, opaque=False)
    whole = all(float(first).is_integer() and float(gap).is_integer() for _, first, gap in values)
    found = interactions(program, whole)
    if found is not None:
        program = without_constants(program, found, x)
    degree = None if found is None else found.dependences[program.output].degree
    if found is not None and degree is not None and is_quadratic(degree) and {n for n, _, _ in values} == {2}:
        return _by_couplings(key, program, found.pairs, values, x, sweeps)
    return _by_terms(key, local_terms(program, found), values, x, sweeps)


def _by_couplings(key: Array, program: Any, pairs: Any, values: Values, x: Array, sweeps: int) -> Swept:
    """By the odds of bits, chains side by side."""
    first, gap = (np.array(column, x.dtype) for column in list(zip(*values, strict=True))[1:])
    known = known_couplings(program, pairs, x.dtype)
    found = couplings(program, pairs, x.dtype) if known is None else known
    return _by_pairs(key, pairs, found, (first, gap), x, sweeps)


def _by_pairs(key: Array, pairs: Any, found: Couplings, bounds: Any, x: Array, sweeps: int) -> Swept:
    """Variables of two values that meet in pairs."""
    (first, gap), colours = bounds, colouring(pairs)
    slopes = _alone(found, pairs, first, gap)
    way = _way(pairs, colours, bounds, slopes, found.values, sweeps)
    up = (x > jnp.asarray(first + 0.5 * gap)).astype(jnp.int8)
    up, changed, broken = abreast(way, key_words(key), (slopes, found.values), up)
    return Swept(jnp.asarray(first) + jnp.asarray(gap) * up.astype(x.dtype), changed, broken)


def _way(pairs: Any, colours: list[np.ndarray], bounds: Any, slopes: Array, values: Array, sweeps: int) -> Any:
    """How bits are swept: a function of the words of keys, the couplings, and bits."""
    (first, gap), few = bounds, len(colours) <= FEW

    def by_odds(words: Any, numbers: Any, up: Array) -> Any:
        odds = bit_odds(pairs, *numbers, first, gap)
        return by_fields(pairs, colours, sweeps, words, odds, up) if few else by_blocks(pairs, sweeps, words, odds, up)

    if len(first) < MANY or not few:
        return by_odds
    if is_known(values) and is_known(slopes):
        known = np.asarray(slopes, float), np.asarray(values, float)
        plan = colour_bits(pairs, colours, *known, first, gap)
        return by_odds if plan is None else lambda words, numbers, up: by_words(plan, colours, sweeps, words, up)

    def either(words: Any, numbers: Any, up: Array) -> Any:
        traced_plan = traced_colour_bits(pairs, colours, *numbers, first, gap)
        if traced_plan is None:
            return by_odds(words, numbers, up)
        plan, holds = traced_plan
        by_bits = lambda words, numbers, up: by_words(plan, colours, sweeps, words, up)  # noqa: E731
        return jax.lax.cond(holds, by_bits, by_odds, words, numbers, up)

    return either


def _alone(found: Couplings, pairs: Any, first: np.ndarray, gap: np.ndarray) -> Array:
    """The slope at each variable half-way between its values, where its neighbours are zero."""
    rows = np.repeat(np.arange(len(first)), np.diff(pairs.indptr))
    own = np.flatnonzero(rows == pairs.indices)
    half = (first + 0.5 * gap)[rows[own]]
    if is_known(found.linear) and is_known(found.values):
        linear = np.array(found.linear)
        linear[rows[own]] += np.asarray(found.values)[own] * half
        return linear  # ty: ignore[invalid-return-type]
    return jnp.asarray(found.linear).at[rows[own]].add(found.values[own] * half)


def _by_terms(key: Array, terms: LocalTerms, values: Values, x: Array, sweeps: int) -> Swept:
    """Any density: the terms of a colour at all of its values."""
    counts, first, gap = (jnp.asarray(column) for column in zip(*values, strict=True))
    first, gap, count, most = first.astype(x.dtype), gap.astype(x.dtype), len(values), max(n for n, _, _ in values)
    weight, numbers = terms.weights(x.dtype), jnp.arange(most)[:, None]
    # Numbers past the last value of a variable stand for it again, and have no weight.
    points = first + gap * jnp.minimum(numbers, counts - 1)

    def update(mask: Array, group: Array, places: Array, words: Array, at: Any) -> Any:
        x, changed, broken = at
        found = jax.vmap(lambda point: terms.terms(jnp.where(mask, point, x), weight))(points)
        found = jnp.concatenate([found, jnp.zeros((most, 1), found.dtype)], 1)
        heights = jnp.sum(found[:, places], -1)
        inside = jnp.minimum(group, count - 1)
        nan = jnp.isnan(heights) & (group < count)
        new = chosen(jnp.where(numbers < counts[inside], heights, -jnp.inf), words[inside])
        value = first[inside] + gap[inside] * new
        moved = jnp.sum((value != x[inside]) & (group < count), dtype=jnp.int32)
        return x.at[group].set(value, mode="drop"), changed + moved, broken | nan.any()

    tables = _tables(terms, count)

    def sweep(number: Array, at: Any) -> Any:
        words = random_words(key, number, count)
        if len(terms.colours) <= FEW:
            for mask, group, places in tables:
                at = update(mask, group, places, words, at)
            return at
        masks, groups, where = tables
        return jax.lax.fori_loop(
            0, len(terms.colours), lambda c, at: update(masks == c, groups[c], where[c], words, at), at
        )

    return Swept(*jax.lax.fori_loop(0, sweeps, sweep, (x, jnp.zeros((), jnp.int32), jnp.zeros((), bool))))


def _tables(terms: LocalTerms, count: int) -> Any:
    """The variables and terms of each colour; of many colours side by side, filled up to the most."""
    if len(terms.colours) <= FEW:
        masks = [np.isin(np.arange(count), group) for group in terms.colours]
        return list(zip(masks, terms.colours, terms.places, strict=True))
    colour = np.zeros(count, int)
    for number, group in enumerate(terms.colours):
        colour[group] = number
    most = max(len(group) for group in terms.colours), max(places.shape[1] for places in terms.places)
    groups, where = [], []
    for group, places in zip(terms.colours, terms.places, strict=True):
        groups.append(np.pad(group, (0, most[0] - len(group)), constant_values=count))
        filled = ((0, most[0] - len(group)), (0, most[1] - places.shape[1]))
        where.append(np.pad(places, filled, constant_values=terms.size))
    return jnp.asarray(colour), jnp.asarray(np.stack(groups)), jnp.asarray(np.stack(where))
