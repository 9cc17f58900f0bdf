r"""Sweeps of Gibbs sampling over discrete variables, a colour at a time, in the way that suits the traced density.

A density that is quadratic in variables of two values is swept by its couplings and fields; any other by the terms
that contain the variables of a colour. Both leave the law invariant: given the rest, variables of one colour are
independent, so that to draw them at once is to draw them in turn.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gmdsl.core.jaxprs.tape import traced
from gmdsl.core.random.threefry import random_words
from gmdsl.exact.conditionals.bits import ColourBits, bit_sweeps, colour_bits, packed, unpacked
from gmdsl.exact.conditionals.choice import chosen, higher_chosen
from gmdsl.exact.conditionals.colouring import colouring
from gmdsl.exact.conditionals.couplings import Couplings, couplings, is_quadratic, known_couplings
from gmdsl.exact.conditionals.fields import field, neighbours, weights
from gmdsl.exact.conditionals.interactions import interactions, without_constants
from gmdsl.exact.conditionals.local_terms import LocalTerms, local_terms
from gmdsl.exact.conditionals.traced_bits import traced_colour_bits

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
    colours = colouring(pairs)
    first, gap = (np.array(column, x.dtype) for column in list(zip(*values, strict=True))[1:])
    known = known_couplings(program, pairs, x.dtype)
    if known is not None and len(values) >= MANY and len(colours) <= FEW:
        with jax.ensure_compile_time_eval():
            slopes = np.asarray(_alone(known, pairs, first, gap), float)
        plan = colour_bits(pairs, colours, slopes, np.asarray(known.values, float), first, gap)
        if plan is not None:
            return _by_bits(key, plan, colours, (first, gap), x, sweeps)
    found = couplings(program, pairs, x.dtype) if known is None else known
    alone, bounds = _alone(found, pairs, first, gap), (first, gap)
    if len(colours) > FEW:
        return _one_by_one(key, pairs, colours, (*bounds, alone, found.values), x, sweeps)
    by_fields = functools.partial(_by_fields, key, pairs, colours, bounds, sweeps)
    if known is None and len(values) >= MANY:
        traced_plan = traced_colour_bits(pairs, colours, alone, found.values, first, gap)
        if traced_plan is not None:
            plan, holds = traced_plan
            by_bits = lambda alone, numbers, x: _by_bits(key, plan, colours, bounds, x, sweeps)  # noqa: E731
            return jax.lax.cond(holds, by_bits, by_fields, alone, found.values, x)
    return by_fields(alone, found.values, x)


def _by_fields(
    key: Array, pairs: Any, colours: list[np.ndarray], bounds: Any, sweeps: int, alone: Array, numbers: Array, x: Array
) -> Swept:
    """By the fields of one colour after the other."""
    first, gap = (jnp.asarray(column) for column in bounds)
    near, order = neighbours(pairs, colours), np.concatenate(colours)
    sizes = [len(group) for group in colours]
    taken, ends = [weights(n, size, sizes, numbers) for n, size in zip(near, sizes, strict=True)], np.cumsum(sizes)[:-1]
    own = [(alone[group], gap[group], first[group]) for group in colours]

    def sweep(number: Array, at: Any) -> Any:
        parts, changed, broken = at
        words = jnp.split(random_words(key, number, len(x)), ends)
        for c, group in enumerate(colours):
            base, step, low = own[c]
            odds = step * (base + field(near[c], len(group), taken[c], parts))
            new = low + step * higher_chosen(odds, words[c])
            changed, broken = changed + jnp.sum(new != parts[c], dtype=jnp.int32), broken | jnp.isnan(odds).any()
            parts = (*parts[:c], new, *parts[c + 1 :])
        return parts, changed, broken

    start = (tuple(jnp.split(x[order], ends)), jnp.zeros((), jnp.int32), jnp.zeros((), bool))
    parts, changed, broken = jax.lax.fori_loop(0, sweeps, sweep, start)
    return Swept(jnp.concatenate(parts)[np.argsort(order)], changed, broken)


def _alone(found: Couplings, pairs: Any, first: np.ndarray, gap: np.ndarray) -> Array:
    """The slope at each variable half-way between its values, where its neighbours are zero."""
    rows = np.repeat(np.arange(len(first)), np.diff(pairs.indptr))
    own = np.flatnonzero(rows == pairs.indices)
    half = (first + 0.5 * gap)[rows[own]]
    return jnp.asarray(found.linear).at[rows[own]].add(found.values[own] * half)


def _by_bits(
    key: Array, plan: list[ColourBits], colours: list[np.ndarray], bounds: tuple[np.ndarray, ...], x: Array, sweeps: int
) -> Swept:
    """By bits of words, 32 variables at once."""
    order, sizes, (first, gap) = np.concatenate(colours), [len(group) for group in colours], bounds
    up = jnp.split((x > jnp.asarray(first + 0.5 * gap))[order], np.cumsum(sizes)[:-1])
    words = len(plan[0].real)
    parts, changed = bit_sweeps(key, plan, tuple(packed(part, words) for part in up), sweeps)
    bits = jnp.concatenate([unpacked(part, size) for part, size in zip(parts, sizes, strict=True)])[np.argsort(order)]
    return Swept(jnp.asarray(first) + jnp.asarray(gap) * bits, changed, jnp.zeros((), bool))


def _one_by_one(key: Array, pairs: Any, colours: list[np.ndarray], numbers: Any, x: Array, sweeps: int) -> Swept:
    """Many colours in a loop, by rows of the matrix of couplings."""
    first, gap, alone, values = (jnp.asarray(part) for part in numbers)
    count, most = len(x), max(len(group) for group in colours)
    rows = np.repeat(np.arange(count), np.diff(pairs.indptr))
    apart = np.flatnonzero(rows != pairs.indices)
    matrix = jnp.zeros((count, count), x.dtype).at[rows[apart], pairs.indices[apart]].set(values[apart])
    # Groups are filled up with places past the end, where nothing is written.
    groups = jnp.asarray(np.stack([np.pad(g, (0, most - len(g)), constant_values=count) for g in colours]))

    def sweep(number: Array, at: Any) -> Any:
        words = random_words(key, number, count)

        def one(c: Array, at: Any) -> Any:
            x, changed, broken = at
            group = groups[c]
            inside = jnp.minimum(group, count - 1)
            odds = gap[inside] * (alone[inside] + matrix[inside] @ x)
            new = first[inside] + gap[inside] * higher_chosen(odds, words[inside])
            moved = jnp.sum((new != x[inside]) & (group < count), dtype=jnp.int32)
            return x.at[group].set(new, mode="drop"), changed + moved, broken | jnp.isnan(odds).any()

        return jax.lax.fori_loop(0, len(colours), one, at)

    return Swept(*jax.lax.fori_loop(0, sweeps, sweep, (x, jnp.zeros((), jnp.int32), jnp.zeros((), bool))))


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
