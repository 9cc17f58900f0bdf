r"""Swendsen-Wang: whole clusters of labels change at once, in Ising and Potts models.

For $\log p(n) = \sum_{i < j} J_{ij} [n_i = n_j] + \sum_i H_i(n_i)$ (spins: $J_{ij}$ is twice the coupling of
$s_i s_j$, temperature included) a step draws a bond between two labels with probability

$$1 - e^{-|J_{ij}|} \quad \text{if } n_i = n_j,\ J_{ij} > 0, \text{ or } n_i \ne n_j,\ J_{ij} < 0.$$

Given the bonds, the labels of each connected component may be shifted by one number, $n_i \to n_i + r \bmod q$, at no
cost but that of the fields, so $r$ is drawn with weights $\exp \sum_i H_i(n_i + r \bmod q)$. Near the critical point
clusters are as large as the correlated regions, which single labels take very long to turn.

Reference:
    Swendsen and Wang, *Nonuniversal critical dynamics in Monte Carlo simulations*, 1987; Edwards and Sokal,
    *Generalization of the Fortuin-Kasteleyn-Swendsen-Wang representation and Monte Carlo algorithm*, 1988.
"""

from typing import Any, ClassVar, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gmdsl.compiler.density import Density
from gmdsl.compiler.known_integers import KnownIntegers, known_integers
from gmdsl.core.errors import SpecError
from gmdsl.core.random.threefry import split
from gmdsl.exact.conditionals.pair_model import read_tables
from gmdsl.exact.conditionals.pair_tables import PottsForm, potts_form
from gmdsl.inference.kernels.label_point import changed, places_of
from gmdsl.inference.sampler import Sampler, refuse_endless
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target

NOISE = 8  # in units of the rounding of a float: what is taken for no coupling


class PairGraph(NamedTuple):
    """Which labels meet. Hashable, to be static.

    Attributes:
        q: how many values each label has.
        edge_bytes: the array of edges.
        integers: whole numbers among the data, by which edges may be given.
    """

    q: int
    edge_bytes: bytes
    integers: KnownIntegers | None = None

    @property
    def edges(self) -> Int[np.ndarray, "edges 2"]:
        """Pairs of labels, each once."""
        return np.frombuffer(self.edge_bytes, np.int32).reshape(-1, 2)


class PairCouplings(NamedTuple):
    """A Potts model: couplings of its edges, and the weight of each value of each label."""

    pairs: Float[Array, " edges"]
    fields: Float[Array, "dim q"]


class ClusterState(NamedTuple):
    """Labels, and the couplings by which they meet."""

    position: Float[Array, " dim"]
    couplings: PairCouplings


class SwendsenWang(Sampler):
    """Cluster updates of labels that meet in pairs: spins, bits, or labels that like to be equal.

    Couplings and fields are read off the density; one that is none of pairs is refused. Couplings of either sign and
    any fields are sampled exactly. Where neighbours cannot all be satisfied (a spin glass), or fields are strong,
    clusters gain nothing: use `gm.Gibbs`.

    Attributes:
        graph: which labels meet; set when a model is sampled.
    """

    graph: PairGraph | None = eqx.field(static=True, default=None)

    reversible: ClassVar[bool] = True

    def bound(self, density: Any) -> Self:
        refuse_endless(self, density)
        if not isinstance(getattr(density, "density", density), Density):
            # a fit: couplings that are zero at its start are not later
            raise SpecError("SwendsenWang(): couplings that are learned do not stay where they are. Use gm.Gibbs().")
        return type(self)(pair_graph(self, density))

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> ClusterState:
        del key
        graph = self._pairs
        seen = target if graph.integers is None else graph.integers.within(target)
        values = tuple(one for one in target.states if one is not None)
        return ClusterState(x, _couplings(_potts(seen.log_density, values, x.astype(jnp.result_type(x, 1.0))), graph))

    def position(self, state: ClusterState) -> Float[Array, " dim"]:
        return state.position

    def step(self, key: Array, target: Target, state: ClusterState) -> tuple[ClusterState, Stats]:
        key_bonds, key_shift = split(key)
        x, (pairs, fields) = state
        first, gap = _first_and_gap(target)
        n = jnp.round((x - first) / gap).astype(int)
        q, edges = self._pairs.q, self._pairs.edges
        a, b = edges.T
        draws = jax.random.uniform(key_bonds, pairs.shape, pairs.dtype)
        bonds = (draws < -jnp.expm1(-jnp.abs(pairs))) & ((n[a] == n[b]) == (pairs > 0))
        cluster = components(edges, bonds, x.size)
        shifted = (n[:, None] + jnp.arange(q)) % q
        weights = jnp.zeros(fields.shape, fields.dtype)
        weights = weights.at[cluster].add(jnp.take_along_axis(fields, shifted, axis=1))
        shift = jax.random.categorical(key_shift, weights, axis=1)[cluster]
        broken = ~(jnp.isfinite(pairs).all() & jnp.isfinite(fields).all())
        new = jnp.where(broken, x, (first + gap * ((n + shift) % q)).astype(x.dtype))
        count = jnp.sum(cluster == jnp.arange(x.size)).astype(x.dtype)
        stats = {"changed": changed(x, new), "clusters": count, "nan_evaluations": broken}
        return ClusterState(new, state.couplings), stats

    @property
    def _pairs(self) -> PairGraph:
        if self.graph is None:
            raise SpecError("SwendsenWang(): it is bound to no model. Call sampler.bound(gm.compile(model)) first.")
        return self.graph


def pair_graph(sampler: Any, density: Any) -> PairGraph:
    """Which labels of a compiled model (or of a block of it) meet.

    Args:
        sampler: who asks, for messages.
        density: the compiled model, whose free variables are discrete and finite.

    Raises:
        SpecError: labels of unlike numbers of values, an energy that is not one of pairs, or one that is infinite.
    """
    places, states = places_of(density), density.target.states
    values = tuple(states[place] for place in places)
    counts, (kernel, names) = {one[0] for one in values}, (type(sampler).__name__, ", ".join(density.free))
    if len(counts) != 1 or counts == {1}:
        raise SpecError(f"{kernel}(): {names} must have equally many values, two or more, not {sorted(counts)}.")
    draw = np.random.default_rng(0)
    rest = jnp.asarray([draw.normal() if kind is None else kind[1] for kind in states], float)
    found = _potts(lambda x: density.target.log_density(rest.at[places].set(x)), values, rest[places])
    if found is None or not found.holds:
        problem = "its density brings more than two labels together" if found is None else _said(found)
        raise SpecError(
            f"{kernel}(): {problem}. An energy of pairs of labels is needed, -sum J_ij s_i s_j - sum h_i s_i for two"
            f" values each, or with J_ij [k_i = k_j] for more; {names} has another. Use gm.Gibbs()."
        )
    least = NOISE * np.finfo(found.strengths.dtype).eps * np.abs(found.strengths).max(initial=0.0)
    edges = found.edges[np.abs(np.asarray(found.strengths)) > least].astype(np.int32)
    whole = getattr(getattr(density, "density", density), "moved", None)
    integers = known_integers(density.target) if whole is density.target else None
    return PairGraph(counts.pop(), edges.tobytes(), integers)


def _said(found: PottsForm) -> str:
    """Why tables are none of a Potts model, in words."""
    if not (np.isfinite(found.strengths).all() and np.isfinite(found.fields).all()):
        return "the density is zero or NaN for some values"
    return "of more than two values, pairs of unlike ones differ"


def _potts(log_density: Any, values: Any, x: Array) -> PottsForm | None:
    """The couplings of a density; None where it is none of pairs."""
    tables = read_tables(log_density, values, x)
    return None if tables is None else potts_form(tables)


def _couplings(found: PottsForm | None, graph: PairGraph) -> PairCouplings:
    """Those of the edges of a graph."""
    if found is None:
        raise SpecError("SwendsenWang(): the density is no longer one of pairs of labels. Use gm.Gibbs().")
    number = {tuple(edge): k for k, edge in enumerate(found.edges.tolist())}
    where = np.array([number[tuple(edge)] for edge in graph.edges.tolist()], int)
    return PairCouplings(jnp.asarray(found.strengths)[where], jnp.asarray(found.fields))


def components(edges: Int[np.ndarray, "edges 2"], bonds: Bool[Array, " edges"], dim: int) -> Int[Array, " dim"]:
    """The smallest vertex of the connected component of each vertex.

    Both ends of a bond, and the vertices that they point to, are made to point to the smaller of these; then each
    vertex points to where that one points, until nothing moves.

    Args:
        edges: pairs of vertices.
        bonds: which of them connect.
        dim: how many vertices there are.

    >>> import numpy as np, jax.numpy as jnp
    >>> edges = np.array([[3, 4], [4, 1], [0, 2], [2, 3]])
    >>> components(edges, jnp.array([True, True, True, False]), 5).tolist()
    [0, 1, 0, 1, 1]
    """
    a, b = edges.T

    def lower(at: tuple[Array, Array]) -> tuple[Array, Array]:
        root, _ = at
        low = jnp.where(bonds, jnp.minimum(root[a], root[b]), dim)
        new = root.at[root[a]].min(low).at[root[b]].min(low).at[a].min(low).at[b].min(low)
        new = new[new]
        return new, (new != root).any()

    start = (jnp.arange(dim), jnp.asarray(True))
    return jax.lax.while_loop(lambda at: at[1], lower, start)[0]


def _first_and_gap(target: Target) -> tuple[np.ndarray, np.ndarray]:
    """The first value of each label, and the gap between two."""
    states = [one for one in target.states if one is not None]
    return np.array([one[1] for one in states]), np.array([one[2] for one in states])
