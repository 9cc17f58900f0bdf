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
from gmdsl.core.errors import SpecError
from gmdsl.core.random.threefry import split
from gmdsl.inference.kernels.label_point import changed, check_finite
from gmdsl.inference.kernels.pair_couplings import PairCouplings, PairGraph, couplings, pair_graph
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


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
        check_finite(self, density)
        if not isinstance(getattr(density, "density", density), Density):
            # a fit: couplings that are zero at its start are not later
            raise SpecError("SwendsenWang(): couplings that are learned do not stay where they are. Use gm.Gibbs().")
        return type(self)(pair_graph(self, density))

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> ClusterState:
        del key
        first, gap = _first_and_gap(target)
        return ClusterState(x, couplings(target.log_density, first, gap, self._pairs))

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
