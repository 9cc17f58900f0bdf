r"""Couplings and fields of a model whose labels meet in pairs, read off its density.

With $q$ values for each label, numbered $n_i = 0, \ldots, q - 1$, the density must be that of a Potts model (for two
values that is any energy of pairs, an Ising model),

$$\log p(n) = c + \sum_{i < j} J_{ij} [n_i = n_j] + \sum_i H_i(n_i).$$

Then the first differences $d_{iv}$ at "all 0" and at "all 0, but $n_j = 1$" differ by $2 J_{ij}$ at $v = 1$, and half
of $d_{iv}$ at "all 0" less $d_{i0}$ at "all $v$" is $H_i(v) - H_i(0)$. Which labels meet is found once for
a model: those that its program brings together element by element, and if that does not explain the density, by one $j$
after another. After that labels that have no neighbour in common share an evaluation (a colouring of the graph).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gmdsl.core.errors import SpecError
from gmdsl.core.jaxprs.first_differences import FAR, first_differences, meeting
from gmdsl.inference.kernels.label_point import places_of

TOGETHER = 2**20  # numbers of an array of states that are looked at together
STATES = 4  # random ones at which the couplings are compared with the density
ROUNDING = 200  # in units of the rounding of a float: what is taken for equal
NOISE = 8  # and what is taken for no coupling


class PairCouplings(NamedTuple):
    """A Potts model: couplings of its edges, and the weight of each value of each label, zero for the first."""

    pairs: Float[Array, " edges"]
    fields: Float[Array, "dim q"]


class PairGraph(NamedTuple):
    """Which labels meet, and the colours by which their couplings are read. Hashable, to be static.

    Attributes:
        q: how many values each label has.
        edge_bytes: the array of edges.
        color_bytes: the array of colours.
    """

    q: int
    edge_bytes: bytes
    color_bytes: bytes

    @classmethod
    def of(cls, q: int, dim: int, edges: np.ndarray) -> Self:
        """The graph of some edges."""
        edges = np.asarray(edges, np.int32).reshape(-1, 2)
        return cls(q, edges.tobytes(), _colored(dim, edges).tobytes())

    @property
    def edges(self) -> Int[np.ndarray, "edges 2"]:
        """Pairs of labels, each once."""
        return np.frombuffer(self.edge_bytes, np.int32).reshape(-1, 2)

    @property
    def colors(self) -> Int[np.ndarray, " dim"]:
        """A colour for each label; those that meet, or meet the same, have unlike ones."""
        return np.frombuffer(self.color_bytes, np.int32)


def pair_graph(sampler: Any, density: Any) -> PairGraph:
    """Which labels of a compiled model (or of a block of it) meet.

    Args:
        sampler: who asks, for messages.
        density: the compiled model, whose free variables are discrete and finite.

    Raises:
        SpecError: labels of unlike numbers of values, an energy that is not one of pairs, or one that is infinite.
    """
    places, states = places_of(density), density.target.states
    kinds = {states[place] for place in places}
    counts = {kind[0] for kind in kinds if kind is not None}
    kernel, names = type(sampler).__name__, ", ".join(density.free)
    if len(counts) != 1 or counts == {1}:
        raise SpecError(f"{kernel}(): {names} must have equally many values, two or more, not {sorted(counts)}.")
    first, gap = (np.array([states[place][k] for place in places]) for k in (1, 2))
    draw = np.random.default_rng(0)
    rest = jnp.asarray([draw.normal() if kind is None else kind[1] for kind in states], float)
    at = _Numbered(lambda x: density.target.log_density(rest.at[places].set(x)), first, gap, counts.pop())
    for find in (_edges_of_program, _edges):
        graph = PairGraph.of(at.q, len(places), find(at))
        problem, meets = _problem(at, graph, draw)
        if not problem:
            return PairGraph.of(at.q, len(places), graph.edges[meets])
    raise SpecError(
        f"{kernel}(): {problem}. An energy of pairs of labels is needed, -sum J_ij s_i s_j - sum h_i s_i for two"
        f" values each, or with J_ij [k_i = k_j] for more; {names} has another. Use gm.Gibbs()."
    )


def couplings(log_density: Callable[[Array], Array], first: Any, gap: Any, graph: PairGraph) -> PairCouplings:
    """The couplings and fields of a density over labels that meet as the graph says.

    Args:
        log_density: of a vector of labels.
        first: the first value of each label.
        gap: between two values of each.
        graph: which labels meet.
    """
    at, colors, edges = _Numbered(log_density, first, gap, graph.q), graph.colors, graph.edges
    probes = colors == np.arange(colors.max(initial=-1) + 1)[:, None]
    levels = np.arange(graph.q)[:, None] * np.ones((1, len(first)))
    found = jax.lax.map(at.differences, jnp.asarray(np.concatenate([levels, probes]), float))
    bottom, back, moved = found[0], found[1 : graph.q, :, 0], found[graph.q :, :, 1] - found[0, :, 1]
    # each coupling is read at both of its ends
    pairs = 0.25 * (moved[colors[edges[:, 1]], edges[:, 0]] + moved[colors[edges[:, 0]], edges[:, 1]])
    return PairCouplings(
        pairs, jnp.concatenate([jnp.zeros_like(bottom[:, :1]), 0.5 * (bottom[:, 1:] - back.T)], axis=1)
    )


def log_weight(graph: PairGraph, found: PairCouplings, n: Int[Array, " dim"]) -> Float[Array, ""]:
    """The log-density of a Potts model, up to a constant."""
    a, b = graph.edges.T
    return jnp.sum(jnp.where(n[a] == n[b], found.pairs, 0.0)) + jnp.sum(found.fields[jnp.arange(len(n)), n])


class _Numbered:
    """A density of the numbers of labels."""

    def __init__(self, log_density: Callable[[Array], Array], first: Any, gap: Any, q: int) -> None:
        self.q, self.first, self.gap = q, jnp.asarray(first, float), jnp.asarray(gap, float)
        self.of_values = log_density
        self.values = self.first + self.gap * jnp.arange(q)[:, None]

    def log_density(self, n: Array) -> Array:
        return self.of_values(self.first + self.gap * n)

    def differences(self, n: Array) -> Array:
        return first_differences(self.of_values, self.first + self.gap * n, self.values)


def _edges_of_program(at: _Numbered) -> np.ndarray:
    """Pairs of labels that meet where the program multiplies, compares or looks up elements."""
    pairs = np.asarray(jax.jit(lambda: meeting(at.of_values, at.first))())
    pairs = np.sort(pairs[(pairs >= 0).all(axis=1) & (pairs < at.first.size).all(axis=1)].astype(np.int32), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def _edges(at: _Numbered) -> np.ndarray:
    """Pairs of labels of which one changes the differences of the other."""
    dim = at.first.size
    base = jnp.zeros(dim)
    size = max(1, min(dim, TOGETHER // (dim * at.q)))

    @jax.jit
    def look(j: Array) -> Array:
        """By how much labels change the differences of others."""
        found = jax.vmap(at.differences)(
            jnp.concatenate([base[None], (jnp.arange(dim) == j[:, None]).astype(base.dtype)])
        )
        least = NOISE * jnp.finfo(base.dtype).eps * jnp.abs(found[0]).max()
        return jnp.abs(found[1:] - found[0]).max(axis=2) > least

    found = []
    for start in range(0, dim, size):
        j = np.minimum(np.arange(start, start + size), dim - 1)
        rows, columns = np.nonzero(np.asarray(look(j)))
        found.append(np.stack([j[rows], columns], axis=1))
    pairs = np.concatenate(found)
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(pairs, axis=0)


def _colored(dim: int, edges: np.ndarray) -> np.ndarray:
    """The smallest colour for each label that none at a distance of one or two has, one label after another."""
    near: list[list[int]] = [[] for _ in range(dim)]
    for a, b in edges.tolist():
        near[a].append(b)
        near[b].append(a)
    colors = [-1] * dim
    if len(edges) > dim * (dim - 1) // 4:  # all but everything meets
        return np.arange(dim, dtype=np.int32)
    for i in range(dim):
        taken = {colors[k] for j in near[i] for k in (j, *near[j])}
        colors[i] = next(color for color in range(dim) if color not in taken)
    return np.array(colors, np.int32)


def _problem(at: _Numbered, graph: PairGraph, draw: np.random.Generator) -> tuple[str, np.ndarray]:
    """What shows that a density is not that of its couplings; nothing where it is. And which of them are not zero."""
    n = draw.integers(0, at.q, (STATES, at.first.size))
    pairs, *found = jax.jit(lambda n: _compared(at, graph, n))(n)
    sizes, far, at_all, at_labels, scale = (float(number) for number in found)
    epsilon = float(jnp.finfo(jnp.zeros(()).dtype).eps)
    meets = np.abs(np.asarray(pairs)) > NOISE * epsilon * scale
    return _said(ROUNDING * epsilon, sizes, far, at_all, at_labels, scale), meets


def _said(rounding: float, sizes: float, far: float, at_all: float, at_labels: float, scale: float) -> str:
    """What the comparison shows, in words."""
    if not far < FAR / 8:
        return "the density is zero or NaN for some values"
    if not at_all <= rounding * (1.0 + sizes):
        return f"by its couplings in pairs the log-density would change by {at_all:.2g} more or less between two states"
    return "" if at_labels <= rounding * (1.0 + scale) else "what one label brings depends on two others together"


def _compared(at: _Numbered, graph: PairGraph, n: Int[Array, "states dim"]) -> tuple[Array, ...]:
    """Couplings, sum and largest of them and of fields; how far the log-density is off, also at single labels.

    There a weak term is not drowned by the sum of all others. What a label does to itself (a diagonal of the matrix of
    couplings) is in the differences to first order, and says nothing: it is the same wherever the others are.
    """
    found, dim = couplings(at.of_values, at.first, at.gap, graph), at.first.size
    sizes = jnp.concatenate([jnp.abs(found.pairs), jnp.abs(found.fields).ravel()])
    given = jax.lax.map(lambda n: at.log_density(n.astype(at.first.dtype)), n)
    made = jax.vmap(lambda n: log_weight(graph, found, n))(n)
    at_all = jnp.abs((given - given[0]) - (made - made[0])).max()
    levels = jnp.arange(at.q)[:, None] * jnp.ones(dim, int)
    states = jnp.concatenate([levels, n])
    differences = jax.lax.map(lambda n: at.differences(n.astype(at.first.dtype)), states)
    off = differences - jax.vmap(lambda n: _differences(graph, found, n))(states)
    own = off[: at.q][n, jnp.arange(dim)]
    return found.pairs, sizes.sum(), sizes.max(), at_all, jnp.abs(off[at.q :] - own).max(), jnp.abs(differences).max()


def _differences(graph: PairGraph, found: PairCouplings, n: Int[Array, " dim"]) -> Float[Array, "dim q"]:
    """The change of the log-density of a Potts model when one label takes another value."""
    (a, b), is_at = graph.edges.T, n[:, None] == jnp.arange(graph.q)
    near = found.pairs[:, None] * jnp.stack([is_at[b], is_at[a]])
    weights = found.fields.at[a].add(near[0]).at[b].add(near[1])
    return weights - jnp.take_along_axis(weights, n[:, None], axis=1)
