r"""Couplings and fields of a model whose labels meet in pairs, read off its density.

With $q$ values for each label, numbered $n_i = 0, \ldots, q - 1$, the density must be that of a Potts model (for two
values that is any energy of pairs, an Ising model),

$$\log p(n) = c + \sum_{i < j} J_{ij} [n_i = n_j] + \sum_i H_i(n_i).$$

Then the first differences $d_{iv}$ at "all 0" and at "all 0, but $n_j = 1$" differ by $2 J_{ij}$ at $v = 1$, and half
of $d_{iv}$ at "all 0" less $d_{i0}$ at "all $v$" is $H_i(v) - H_i(0)$. Which labels meet is found once for a model, one
$j$ after another; after that labels that have no neighbour in common share an evaluation (a colouring of the graph).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gmdsl.core.errors import SpecError
from gmdsl.core.jaxprs.first_differences import FAR, first_differences
from gmdsl.inference.kernels.label_point import places_of

TOGETHER = 2**20  # numbers of an array of states that are looked at together
STATES = 4  # random ones at which the couplings are compared with the density
ROUNDING = 200  # in units of the rounding of a float: what is taken for zero, and for equal


class Couplings(NamedTuple):
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
    graph = PairGraph.of(at.q, len(places), _edges(at))
    if problem := _problem(at, graph, draw):
        raise SpecError(
            f"{kernel}(): {problem}. An energy of pairs of labels is needed, -sum J_ij s_i s_j - sum h_i s_i for two"
            f" values each, or with J_ij [k_i = k_j] for more; {names} has another. Use gm.Gibbs()."
        )
    return graph


def couplings(
    log_density: Callable[[Array], Array], first: np.ndarray, gap: np.ndarray, graph: PairGraph
) -> Couplings:
    """The couplings and fields of a density over labels that meet as the graph says.

    Args:
        log_density: of a vector of labels.
        first: the first value of each label.
        gap: between two values of each.
        graph: which labels meet.
    """
    at, colors, edges = _Numbered(log_density, first, gap, graph.q), graph.colors, graph.edges
    dim, dtype = len(first), jnp.zeros(()).dtype
    bottom = at.differences(jnp.zeros(dim, dtype))
    probes = jnp.asarray(colors == np.arange(colors.max(initial=-1) + 1)[:, None], dtype)
    moved = jax.lax.map(lambda n: at.differences(n)[:, 1], probes) - bottom[:, 1]
    # each coupling is read at both of its ends
    pairs = 0.25 * (moved[colors[edges[:, 1]], edges[:, 0]] + moved[colors[edges[:, 0]], edges[:, 1]])
    levels = jnp.arange(1, graph.q, dtype=dtype)[:, None] * jnp.ones(dim, dtype)
    back = jax.lax.map(lambda n: at.differences(n)[:, 0], levels)
    fields = jnp.concatenate([jnp.zeros((dim, 1), dtype), 0.5 * (bottom[:, 1:] - back.T)], axis=1)
    return Couplings(pairs, fields)


def log_weight(graph: PairGraph, found: Couplings, n: Int[Array, " dim"]) -> Float[Array, ""]:
    """The log-density of a Potts model, up to a constant."""
    a, b = graph.edges.T
    return jnp.sum(jnp.where(n[a] == n[b], found.pairs, 0.0)) + jnp.sum(found.fields[jnp.arange(len(n)), n])


class _Numbered:
    """A density of the numbers of labels."""

    def __init__(self, log_density: Callable[[Array], Array], first: Any, gap: Any, q: int) -> None:
        self.q, self.first, self.gap = q, jnp.asarray(first), jnp.asarray(gap)
        self.of_values = log_density
        self.values = self.first + self.gap * jnp.arange(q)[:, None]

    def log_density(self, n: Array) -> Array:
        return self.of_values(self.first + self.gap * n)

    def differences(self, n: Array) -> Array:
        return first_differences(self.of_values, self.first + self.gap * n, self.values)


def _edges(at: _Numbered) -> np.ndarray:
    """Pairs of labels of which one changes the differences of the other."""
    dim = at.first.size
    base = jnp.zeros(dim)
    bottom = jax.jit(at.differences)(base)
    size = max(1, min(dim, TOGETHER // (dim * at.q)))
    look = jax.jit(jax.vmap(lambda j: jnp.abs(at.differences(base.at[j].set(1.0)) - bottom).max(axis=1)))
    least = ROUNDING * jnp.finfo(bottom.dtype).eps * float(jnp.abs(bottom).max())
    found = []
    for start in range(0, dim, size):
        j = np.minimum(np.arange(start, start + size), dim - 1)
        rows, columns = np.nonzero(np.asarray(look(jnp.asarray(j))) > least)
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


def _problem(at: _Numbered, graph: PairGraph, draw: np.random.Generator) -> str:
    """What shows that a density is not that of its couplings; nothing where it is, to rounding."""
    dim = at.first.size
    found = jax.jit(lambda: couplings(at.of_values, np.asarray(at.first), np.asarray(at.gap), graph))()
    sizes = [np.abs(np.asarray(part)) for part in found]
    if not all(np.isfinite(size).all() and size.max(initial=0.0) < FAR / 8 for size in sizes):
        return "the density is zero or NaN for some values"
    rounding = ROUNDING * float(jnp.finfo(found.fields.dtype).eps)
    n = jnp.asarray(draw.integers(0, at.q, (STATES, dim)))
    given = np.asarray(jax.lax.map(lambda n: at.log_density(n.astype(at.first.dtype)), n))
    made = np.asarray(jax.vmap(lambda n: log_weight(graph, found, n))(n))
    off = np.abs((given - given[0]) - (made - made[0])).max()
    if not off <= rounding * (1.0 + sum(size.sum() for size in sizes)):
        return f"by its couplings in pairs the log-density would change by {off:.2g} more or less between two states"
    return _problem_at_labels(at, graph, found, n, rounding)


def _problem_at_labels(at: _Numbered, graph: PairGraph, found: Couplings, n: Array, rounding: float) -> str:
    """What shows the same at single labels, where a weak term is not drowned by the sum of all others."""
    dim = at.first.size

    def off(n: Array) -> Array:
        """By how much differences are off, but for what a label does to itself."""
        made = first_differences(
            lambda x: log_weight(graph, found, jnp.round((x - at.first) / at.gap).astype(int)),
            at.first + at.gap * n, at.values,
        )  # fmt: skip
        return at.differences(n.astype(at.first.dtype)) - made

    own = jax.lax.map(off, jnp.arange(at.q)[:, None] * jnp.ones(dim, int))
    worst = jnp.max(jnp.abs(jax.lax.map(lambda n: off(n) - own[n, jnp.arange(dim)], n)))
    scale = 1.0 + max(float(jnp.abs(at.differences(one.astype(at.first.dtype))).max()) for one in n)
    return "" if float(worst) <= rounding * scale else "a change of one label depends on two others together"
