r"""Labels that meet in pairs, a colour at a time: the weights of all values of a label by the tables of its neighbours.

$$\log p(n_i = k \mid n_{-i}) = H_i(k) + \sum_{j \sim i} T_{ij}(k, n_j) + \mathrm{const}.$$

Chains lie side by side (`gmdsl.exact.conditionals.abreast`), labels are bytes. An entry of a table is found by q
comparisons, which take less time than a lookup as long as there are few values; in a Potts model, whose tables say only
whether two labels are equal, one comparison is enough.
"""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse import csr_array

from gmdsl.exact.conditionals.abreast import Words
from gmdsl.exact.conditionals.choice import chosen
from gmdsl.exact.conditionals.colour_loop import colour_sweeps
from gmdsl.exact.conditionals.fields import Neighbours, neighbours, read_neighbours, slotted

MOST_VALUES = 16  # of a label, and neighbours of it: more comparisons cost more than an evaluation of the density
MOST_NEIGHBOURS = 64


def by_tables(
    pairs: csr_array,
    colours: list[np.ndarray],
    sweeps: int,
    words: Words,
    numbers: tuple[Float[Array, "dim q"], Array],
    n: Array,
) -> tuple[Array, Array, Array]:
    """The labels after some sweeps, how many changed, and whether a weight was NaN.

    Args:
        pairs: which labels interact.
        colours: the labels of each colour.
        sweeps: how many.
        words: of the keys (chains).
        numbers: logs of the weights of values alone; and of each pair its table, or one number, which counts where both
            have one value.
        n: numbers of the values (dim, chains), as bytes.
    """
    fields, tables = numbers
    near = neighbours(pairs, colours, matrix=False)
    own = [slotted(one, len(group), tables) for one, group in zip(near, colours, strict=True)]
    alone = [fields[group].T[..., None] for group in colours]

    def heights(c: int, parts: tuple[Array, ...]) -> Array:
        return alone[c] + _brought(near[c], own[c], parts, fields.shape[1])

    return colour_sweeps(colours, sweeps, words, n, heights, chosen)


def _brought(near: Neighbours, own: Any, parts: tuple[Array, ...], q: int) -> Array:
    """What the neighbours add to the weights of all values of the labels of one colour, (value, label, chain)."""
    found = []
    slots = list(zip(read_neighbours(near, own, parts), own, strict=True))
    for k in range(q):
        terms = [_entry(other, table, k) for other, (_, table) in slots]
        zero = jnp.zeros((1, 1), slots[0][1][1].dtype) if slots else jnp.zeros((1, 1))
        found.append(functools.reduce(jnp.add, terms, zero))
    return jnp.stack(found)


def _entry(other: Array, table: Array, k: int) -> Array:
    """The entries of some tables (label, ...) at a value and those of the neighbours (label, chain)."""
    if table.ndim == 1:
        return jnp.where(other == k, table[:, None], 0)
    found = table[:, k, 0][:, None]
    for b in range(1, table.shape[2]):
        found = jnp.where(other == b, table[:, k, b][:, None], found)
    return found
