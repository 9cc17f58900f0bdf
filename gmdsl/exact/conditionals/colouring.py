r"""Colours of variables, so that no two of one colour interact: variables of one colour can be drawn at once.

Variables are coloured one after the other with the smallest colour that no neighbour has, in the order of a search
breadth first. Where two colours suffice (a bipartite graph: a lattice with even sides, a restricted Boltzmann machine)
that finds them; otherwise there are at most as many colours as the most neighbours and one more. To colour anew, one
whole colour after the other, never takes more colours and often fewer, so that is tried some times.

Reference:
    Gonzalez et al., *Parallel Gibbs sampling: from colored fields to thin junction trees*, AISTATS 2011; Culberson,
    *Iterated greedy graph coloring and the difficulty landscape*, 1992.
"""

import numpy as np
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import breadth_first_order, connected_components

TRIES = 60  # to colour anew
WORK = 2**18  # variables, eight times each, and neighbours that are looked at in them: a quarter of a second


def colouring(pairs: csr_array, tries: int = TRIES) -> list[np.ndarray]:
    """The variables of each colour, in order.

    Args:
        pairs: truth values, (variable, variable): which interact; the diagonal plays no part.
        tries: how often to colour anew, where there are more than two colours.

    >>> ring = np.roll(np.eye(4, dtype=bool), 1, 0) | np.roll(np.eye(4, dtype=bool), -1, 0)
    >>> [group.tolist() for group in colouring(csr_array(ring))]
    [[0, 2], [1, 3]]
    """
    colours = _in_order(pairs, _breadth_first(pairs))
    rng = np.random.default_rng(0)
    for attempt in range(tries if pairs.nnz else 0):
        count = colours.max() + 1
        if count <= 2 or (attempt + 1) * (8 * pairs.shape[0] + pairs.nnz) > WORK:
            break
        sizes = np.bincount(colours)
        rank = (np.arange(count)[::-1], np.argsort(np.argsort(-sizes)), rng.permutation(count))[attempt % 3]
        colours = _in_order(pairs, np.argsort(rank[colours], kind="stable"))
    return [np.flatnonzero(colours == colour) for colour in range(colours.max(initial=-1) + 1)]


def _breadth_first(pairs: csr_array) -> np.ndarray:
    """The variables, each part that hangs together from its first one on."""
    labels = connected_components(pairs, directed=False)[1]
    first = np.zeros(pairs.shape[0], bool)
    first[np.unique(labels, return_index=True)[1]] = True
    root = csr_array(np.append(first, False)[None, :])
    wide = csr_array((pairs.data, pairs.indices, pairs.indptr), (pairs.shape[0], pairs.shape[0] + 1))
    order = breadth_first_order(csr_array(vstack([wide, root])), pairs.shape[0], return_predecessors=False)
    return order[1:]


def _in_order(pairs: csr_array, order: np.ndarray) -> np.ndarray:
    """The colours of variables that each take the smallest one that is left to them."""
    colours = np.full(pairs.shape[0], -1)
    for v in order:
        near = colours[pairs.indices[pairs.indptr[v] : pairs.indptr[v + 1]]]
        colours[v] = _smallest_missing(near[near >= 0])
    return colours


def _smallest_missing(taken: np.ndarray) -> int:
    """The smallest number from 0 that is not taken."""
    seen = np.zeros(len(taken) + 1, bool)
    seen[taken[taken <= len(taken)]] = True
    return int(np.argmin(seen))
