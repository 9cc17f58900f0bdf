r"""The field $\sum_j J_{ij} x_j$ at all variables of one colour: by offsets, by a product of matrices, or by lookups.

Variables are kept colour by colour, so that those of one colour lie side by side. Neighbours of a lattice then lie a
few constant offsets away: the field is a sum of shifted arrays times weights. Where a colour has many neighbours each
(a restricted Boltzmann machine, a spin glass) it is a product with a matrix; what is neither looks its neighbours up.
Chains lie side by side on the last axis, so that a lookup copies a row.
"""

import functools
import itertools
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse import csr_array

MOST_OFFSETS = 48  # shifted arrays that cost less than lookups
SMALL = 64  # variables of which a matrix is no burden
MOST_WRITTEN = 24  # neighbours that are looked up one after the other in one line of a program
DEGREES = np.array([0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128])  # ends of what counts as alike
MOST_SPANS = 12  # of variables with as many neighbours
FILLED = 0.15  # share of a matrix that is not zero from which on it is multiplied


class Link(NamedTuple):
    """Pairs of variables of a colour with neighbours in another one; for offsets those the same number of places away.

    Attributes:
        colour: the other one.
        offset: how many places away.
        rows: the variables, by their places in their colour.
        columns: the neighbours, by their places in theirs.
        numbers: of the pairs, in the order of the couplings.
    """

    colour: int
    offset: int
    rows: np.ndarray
    columns: np.ndarray
    numbers: np.ndarray


class Neighbours(NamedTuple):
    """The neighbours of the variables of one colour.

    Attributes:
        kind: "offsets", "matrix" or "lookups".
        parts: for offsets and matrices.
        rows: of each pair the variable of this colour, by its place in it.
        columns: of each pair the neighbour, by its place in the order of colours.
        numbers: of each pair, in the order of the couplings.
    """

    kind: str
    parts: tuple[Link, ...]
    rows: np.ndarray
    columns: np.ndarray
    numbers: np.ndarray


def neighbours(pairs: csr_array, colours: list[np.ndarray], matrix: bool = True) -> list[Neighbours]:
    """How the fields of each colour are found.

    Args:
        pairs: which variables interact; the diagonal plays no part.
        colours: the variables of each colour.
        matrix: whether they may be found by products of matrices.
    """
    count = pairs.shape[0]
    colour, place, order = np.zeros(count, int), np.zeros(count, int), np.zeros(count, int)
    order[np.concatenate(colours)] = np.arange(count)
    for number, group in enumerate(colours):
        colour[group], place[group] = number, np.arange(len(group))
    first, second = np.repeat(np.arange(count), np.diff(pairs.indptr)), pairs.indices
    sizes, numbers = np.array([len(group) for group in colours]), np.arange(pairs.nnz)
    found = []
    for number, group in enumerate(colours):
        own = (colour[first] == number) & (first != second)
        i, j, of = first[own], second[own], numbers[own]
        pairs_of = place[i], place[j], colour[j], of
        dense = count <= SMALL or len(of) > FILLED * len(group) * count
        kind = "matrix" if matrix and dense else "offsets"
        parts = _parts(*pairs_of, sizes if kind == "offsets" else None, len(group))
        if kind == "offsets" and len(parts) > MOST_OFFSETS:
            kind, parts = "lookups", ()
        found.append(Neighbours(kind, parts, place[i], order[j], of))
    return found


def _parts(
    rows: np.ndarray, columns: np.ndarray, colours: np.ndarray, numbers: np.ndarray, sizes: Any, size: int
) -> tuple[Link, ...]:
    """The pairs by colour and, given their sizes, by offset; between colours of one size places are counted around."""
    if not len(rows):
        return ()
    offsets = np.zeros_like(rows)
    if sizes is not None:
        offsets = columns - rows
        offsets = np.where(sizes[colours] == size, (offsets + size // 2) % size - size // 2, offsets)
    keys, which = np.unique(np.stack([colours, offsets]), axis=1, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    inside = np.split(order, np.cumsum(np.bincount(which.ravel(), minlength=keys.shape[1]))[:-1])
    pairs = zip(keys.T, inside, strict=True)
    return tuple(Link(int(c), int(d), rows[k], columns[k], numbers[k]) for (c, d), k in pairs)


def weights(near: Neighbours, size: int, sizes: list[int], values: Float[Array, " pairs"]) -> Any:
    """The couplings in the form in which the fields of a colour take them.

    Args:
        near: the neighbours of a colour.
        size: its variables.
        sizes: those of all colours.
        values: of the pairs.
    """
    if near.kind == "matrix":
        shapes = [(size, sizes[part.colour]) for part in near.parts]
        return [
            jnp.zeros(shape, values.dtype).at[part.rows, part.columns].set(values[part.numbers])
            for part, shape in zip(near.parts, shapes, strict=True)
        ]
    if near.kind == "offsets":
        return [jnp.zeros((size, 1), values.dtype).at[part.rows, 0].set(values[part.numbers]) for part in near.parts]
    degree = np.bincount(near.rows, minlength=size)
    slots = _slots(near.rows, size)
    places = np.zeros((int(degree.max(initial=0)), size), int)
    places[slots, near.rows] = near.columns
    numbers = jnp.zeros((*places.shape, 1), values.dtype).at[slots, near.rows, 0].set(values[near.numbers])
    return [
        (places[: int(degree[a:b].max(initial=0)), a:b], numbers[: int(degree[a:b].max(initial=0)), a:b])
        for a, b in _alike(degree)
    ]


def _alike(degree: np.ndarray) -> list[tuple[int, int]]:
    """Spans of variables with about as many neighbours; one of all where these would be too many."""
    classes = np.searchsorted(DEGREES, degree)
    ends = [0, *(np.flatnonzero(np.diff(classes)) + 1).tolist(), len(degree)]
    spans = list(itertools.pairwise(ends))
    return spans if len(spans) <= MOST_SPANS else [(0, len(degree))]


def field(near: Neighbours, size: int, own: Any, parts: tuple[Array, ...]) -> Float[Array, "size chains"]:
    """The fields of a colour.

    Args:
        near: its neighbours.
        size: its variables.
        own: their weights.
        parts: the variables of each colour, chains side by side; of any type.
    """
    chains = parts[0].shape[1]
    if near.kind == "matrix":
        products = (w @ parts[part.colour].astype(w.dtype) for part, w in zip(near.parts, own, strict=True))
        return functools.reduce(jnp.add, products, jnp.zeros((size, chains), own[0].dtype if own else None))
    found: Any = jnp.zeros((size, chains), own[0].dtype if own and near.kind == "offsets" else None)
    if near.kind == "offsets":
        for colour in sorted({part.colour for part in near.parts}):
            chosen = [(part.offset, w) for part, w in zip(near.parts, own, strict=True) if part.colour == colour]
            low, wide = _widened(parts[colour], [offset for offset, _ in chosen], size)
            for offset, weight in chosen:
                found = found + weight * wide[offset - low : offset - low + size].astype(weight.dtype)
        return found
    whole = jnp.concatenate(parts)
    return jnp.concatenate([_looked_up(whole, *span) for span in own])


def _looked_up(whole: Array, places: np.ndarray, weight: Array) -> Array:
    """The fields of variables with as many neighbours, which lie anywhere."""
    if len(places) > MOST_WRITTEN:
        return jnp.sum(weight * whole[places].astype(weight.dtype), 0)
    found = jnp.zeros((places.shape[1], whole.shape[1]), weight.dtype)
    for near, number in zip(places, weight, strict=True):
        found = found + number * whole.at[near].get(mode="promise_in_bounds").astype(number.dtype)
    return found


def slotted(near: Neighbours, size: int, values: Float[Array, "pairs ..."]) -> list[tuple[Any, Array]]:
    """The numbers of pairs by slots: each variable has one neighbour in a slot, or one that adds nothing.

    Args:
        near: the neighbours of a colour, by offsets or lookups.
        size: its variables.
        values: of the pairs; zero for what is not there.

    Returns:
        Of each slot where the neighbours are (a link, or their places in the order of colours), and the numbers.
    """
    empty = jnp.zeros((size, *values.shape[1:]), values.dtype)
    if near.kind == "offsets":
        return [(part, empty.at[part.rows].set(values[part.numbers])) for part in near.parts]
    slots = _slots(near.rows, size)
    found = []
    for slot in range(int(slots.max(initial=-1)) + 1):
        own = slots == slot
        places = np.zeros(size, int)
        places[near.rows[own]] = near.columns[own]
        found.append((places, empty.at[near.rows[own]].set(values[near.numbers[own]])))
    return found


def read_neighbours(near: Neighbours, own: list[tuple[Any, Array]], parts: tuple[Array, ...]) -> list[Array]:
    """The neighbours in each slot of the variables of a colour, (variable, chain)."""
    if near.kind != "offsets":
        whole = jnp.concatenate(parts)
        return [whole.at[places].get(mode="promise_in_bounds") for places, _ in own]
    found: list[Array] = []
    size = 0 if not own else own[0][1].shape[0]
    for colour in sorted({part.colour for part, _ in own}):
        offsets = [part.offset for part, _ in own if part.colour == colour]
        low, wide = _widened(parts[colour], offsets, size)
        found += [wide[offset - low : offset - low + size] for offset in offsets]
    return found


def _slots(rows: np.ndarray, size: int) -> np.ndarray:
    """For each pair, how many pairs of its variable come before it."""
    degree, by_row = np.bincount(rows, minlength=size), np.argsort(rows, kind="stable")
    slots = np.empty(len(rows), int)
    slots[by_row] = np.arange(len(rows)) - (np.cumsum(degree) - degree)[rows[by_row]]
    return slots


def _widened(part: Array, offsets: list[int], size: int) -> tuple[int, Array]:
    """An array with what lies before and after it, so that it can be read at offsets; and where it begins."""
    low, high = min(*offsets, 0), max(*offsets, 0) + size
    before, after = -low, max(high - len(part), 0)
    if len(part) == size:
        return low, jnp.concatenate([part[size - before :], part, part[:after]])
    return low, jnp.pad(part, ((before, after), (0, 0)))
