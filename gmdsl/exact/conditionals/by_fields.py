r"""Bits of few colours, each by the fields of all variables of one colour: as lattices and layers have.

Chains lie side by side (`gmdsl.exact.conditionals.abreast`). Bits are bytes, a quarter of the memory of floats; where a
field is a product with a matrix, it is one with the bits of all chains.
"""

import numpy as np
from jaxtyping import Array
from scipy.sparse import csr_array

from gmdsl.exact.conditionals.abreast import Words
from gmdsl.exact.conditionals.choice import higher_chosen
from gmdsl.exact.conditionals.colour_loop import colour_sweeps
from gmdsl.exact.conditionals.fields import field, neighbours, weights
from gmdsl.exact.conditionals.two_values import BitOdds


def by_fields(
    pairs: csr_array, colours: list[np.ndarray], sweeps: int, words: Words, odds: BitOdds, up: Array
) -> tuple[Array, Array, Array]:
    """The bits after some sweeps, how many changed, and whether the odds were NaN.

    Args:
        pairs: which variables interact.
        colours: the variables of each colour.
        sweeps: how many.
        words: of the keys (chains).
        odds: of the bits.
        up: the bits (dim, chains), as bytes.
    """
    near = neighbours(pairs, colours)
    if any(one.kind == "lookups" for one in near):  # those of as many neighbours side by side
        degree = np.diff(pairs.indptr)
        colours = [group[np.argsort(-degree[group], kind="stable")] for group in colours]
        near = neighbours(pairs, colours)
    sizes = [len(group) for group in colours]
    own = [weights(n, size, sizes, odds.gains) for n, size in zip(near, sizes, strict=True)]
    base = [odds.base[group][:, None] for group in colours]

    def heights(c: int, parts: tuple[Array, ...]) -> Array:
        return base[c] + field(near[c], sizes[c], own[c], parts)

    return colour_sweeps(colours, sweeps, words, up, heights, higher_chosen)
