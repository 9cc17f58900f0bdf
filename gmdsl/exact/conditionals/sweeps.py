r"""Sweeps of Gibbs sampling over discrete variables, a colour at a time, in the way that suits the traced density.

A density that is quadratic in variables of two values is swept by its couplings and fields, one whose terms contain two
variables at most by their tables, any other by the terms that contain the variables of a colour. All leave the law
invariant: given the rest, variables of one colour are independent, so to draw them at once is to draw them in turn.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gmdsl.core.random.threefry import random_words
from gmdsl.exact.conditionals.choice import chosen
from gmdsl.exact.conditionals.local_terms import LocalTerms, local_terms
from gmdsl.exact.conditionals.pair_model import Values, read_couplings, read_program
from gmdsl.exact.conditionals.pair_tables import pair_tables
from gmdsl.exact.conditionals.pairwise import by_couplings, by_pair_tables

FEW = 16  # colours that are written out one after the other; more are a loop


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
    program, found = read_program(density, values, x)
    numbers, two = read_couplings(program, found, x.dtype), {n for n, _, _ in values} == {2}
    if found is not None and numbers is not None and two:
        first, gap = (np.array(column, x.dtype) for column in list(zip(*values, strict=True))[1:])
        return Swept(*by_couplings(key, found.pairs, numbers, first, gap, x, sweeps))
    terms = local_terms(program, found)
    tables = pair_tables(terms, found, values, x.dtype) if len(terms.colours) <= FEW else None
    if tables is not None:
        return Swept(*by_pair_tables(key, tables, values, x, sweeps))
    return _by_terms(key, terms, values, x, sweeps)


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
