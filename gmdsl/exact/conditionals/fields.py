r"""The field $\sum_j J_{ij} x_j$ at all variables of one colour: by offsets, by a product of matrices, or by lookups.

Variables are kept colour by colour, so that those of one colour lie side by side. Neighbours of a lattice then lie a
few constant offsets away: the field is a sum of shifted arrays times weights. Where a colour has many neighbours each
(a restricted Boltzmann machine, a spin glass) it is a product with a matrix; what is neither looks its neighbours up.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse import csr_array

MOST_OFFSETS = 48  # shifted arrays that cost less than lookups
SMALL = 64  # variables of which a matrix is no burden
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


def neighbours(pairs: csr_array, colours: list[np.ndarray]) -> list[Neighbours]:
    """How the fields of each colour are found.

    Args:
        pairs: which variables interact; the diagonal plays no part.
        colours: the variables of each colour.
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
        kind = "matrix" if count <= SMALL or len(of) > FILLED * len(group) * count else "offsets"
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
        shapes = [(sizes[part.colour], size) for part in near.parts]
        return [
            jnp.zeros(shape, values.dtype).at[part.columns, part.rows].set(values[part.numbers])
            for part, shape in zip(near.parts, shapes, strict=True)
        ]
    if near.kind == "offsets":
        return [jnp.zeros(size, values.dtype).at[part.rows].set(values[part.numbers]) for part in near.parts]
    most = int(np.bincount(near.rows, minlength=size).max(initial=0))
    starts = np.searchsorted(near.rows, np.arange(size))
    slots = np.arange(len(near.rows)) - starts[near.rows]
    places = np.zeros((most, size), int)
    places[slots, near.rows] = near.columns
    return places, jnp.zeros((most, size), values.dtype).at[slots, near.rows].set(values[near.numbers])


def field(near: Neighbours, size: int, own: Any, parts: tuple[Array, ...]) -> Float[Array, " size"]:
    """The fields of a colour, given all variables colour by colour, and the weights."""
    found = jnp.zeros(size, parts[0].dtype)
    if near.kind == "matrix":
        return sum((parts[part.colour] @ w for part, w in zip(near.parts, own, strict=True)), found)
    if near.kind == "offsets":
        for colour in sorted({part.colour for part in near.parts}):
            chosen = [(part.offset, w) for part, w in zip(near.parts, own, strict=True) if part.colour == colour]
            low, wide = _widened(parts[colour], [offset for offset, _ in chosen], size)
            for offset, weight in chosen:
                found = found + weight * wide[offset - low : offset - low + size]
        return found
    places, weight = own
    return jnp.sum(weight * jnp.concatenate(parts)[places], 0)


def _widened(part: Array, offsets: list[int], size: int) -> tuple[int, Array]:
    """An array with what lies before and after it, so that it can be read at offsets; and where it begins."""
    low, high = min(*offsets, 0), max(*offsets, 0) + size
    before, after = -low, max(high - len(part), 0)
    if len(part) == size:
        return low, jnp.concatenate([part[size - before :], part, part[:after]])
    return low, jnp.pad(part, (before, after))
