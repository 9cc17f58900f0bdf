"""Sets of terms at every element of an array, and how operations unite, join and cross them."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

MOST_TERMS = 2**16  # of one element; more become one term
MOST_PRODUCTS = 2**12  # of terms in one product
NOTHING: frozenset[int] = frozenset()

type Terms = np.ndarray  # of frozensets of integers


def maximal(terms: frozenset[int]) -> list[int]:
    """The terms that lie in no other."""
    kept: list[int] = []
    for term in sorted(terms, key=lambda t: (-t.bit_count(), t)):
        if len(terms) < 2 or not any(term & other == term for other in kept):
            kept.append(term)
    return kept


def reduced(state: Terms, axes: tuple[int, ...], rule: Callable[[Any], frozenset[int]]) -> Terms:
    """The sets along some axes made into one."""
    kept = [a for a in range(state.ndim) if a not in axes]
    shape = tuple(state.shape[a] for a in kept)
    rows = state.transpose([*kept, *axes]).reshape(math.prod(shape), -1)
    return as_array([rule(list(row)) for row in rows], shape)


def accumulated(state: Terms, axis: int, reverse: bool) -> Terms:
    """The sets of partial sums along an axis."""
    back = slice(None, None, -1 if reverse else 1)
    moved = np.moveaxis(state, axis, -1)[..., back]
    rows = [itertools.accumulate(row, lambda a, b: united([a, b])) for row in moved.reshape(-1, moved.shape[-1])]
    found = as_array([terms for row in rows for terms in row], moved.shape)
    return np.moveaxis(found[..., back], -1, axis)


def united(sets: list[frozenset[int]]) -> frozenset[int]:
    """The terms of a sum."""
    found = NOTHING.union(*sets)
    return found if len(found) <= MOST_TERMS else joined([found])


def joined(sets: list[frozenset[int]]) -> frozenset[int]:
    """The one term of a function of several values."""
    bits = functools.reduce(lambda a, b: a | b, NOTHING.union(*sets), 0)
    return frozenset([bits]) if bits else NOTHING


def crossed(a: frozenset[int], b: frozenset[int]) -> frozenset[int]:
    """The terms of a product."""
    if not a or not b:
        return a or b
    return frozenset(x | y for x in a for y in b) if len(a) * len(b) <= MOST_PRODUCTS else joined([a, b])


def as_array(sets: list[Any], shape: tuple[int, ...]) -> Terms:
    """An array of these sets."""
    found = np.empty(len(sets), object)
    found[:] = sets
    return found.reshape(shape)


def filled(terms: frozenset[int], shape: tuple[int, ...]) -> Terms:
    """An array of one set."""
    return as_array([terms] * math.prod(shape), shape)


def elementwise(rule: Callable[[Any, Any], frozenset[int]]) -> Callable[[Any, Any], Terms]:
    """A rule for two sets as one for arrays of them, which keeps arrays without axes."""
    ufunc = np.frompyfunc(rule, 2, 1)

    def apply(a: Any, b: Any) -> Terms:
        found = ufunc(a, b)
        return found if isinstance(found, np.ndarray) else as_array([found], ())

    return apply


unite = elementwise(lambda a, b: united([a, b]))
join = elementwise(lambda a, b: joined([a, b]))
cross = elementwise(crossed)
