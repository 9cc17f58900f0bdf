r"""The tables of a density whose variables meet in pairs, read off the terms that its program adds up.

$$\log p(n) = c + \sum_i H_i(n_i) + \sum_{i < j} T_{ij}(n_i, n_j), \qquad n_i = 0, \ldots, q_i - 1.$$

The traced program says that no term contains more than two variables, so this form is proved and not guessed. Variables
of one colour share no term. Colours are numbered; those with a 0 at some bit of their number take one value, those with
a 1 another, and one evaluation gives an entry of the tables of all pairs that this bit tells apart: for C colours of q
values there are $q^2 \lceil \log_2 C \rceil$ evaluations. A Potts model is one whose tables are
$J_{ij} [n_i = n_j]$ but for what each of the two does alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.sparse import csr_array, vstack

from gmdsl.core.jaxprs.tape import is_known
from gmdsl.exact.conditionals.interactions import Interactions
from gmdsl.exact.conditionals.local_terms import LocalTerms

MOST_ENTRIES = 2**24  # of all tables
ROUNDING = 32  # in units of the rounding of a float: what is taken for equal


class PairTables(NamedTuple):
    """A density of variables that meet in pairs.

    Attributes:
        edges: pairs of variables, the first below the second, each once.
        fields: logs of the weight of each value of each variable; minus infinity past its last value.
        tables: of each pair, (value of the first, value of the second).
    """

    edges: Int[np.ndarray, "edges 2"]
    fields: Float[Array, "dim q"]
    tables: Float[Array, "edges q q"]


def pair_tables(terms: LocalTerms, found: Interactions | None, values: Any, dtype: Any) -> PairTables | None:
    """The tables of a program, as numbers where all that it closes over is known; None where more than two meet.

    Args:
        terms: what the program adds up.
        found: on what its arrays depend.
        values: of each variable how many, the first, and the gap.
        dtype: of the results.
    """
    if found is None:
        return None
    owners = csr_array(vstack([found.dependences[slot].rows for slot in terms.slots]))
    count, q = np.diff(owners.indptr), max(n for n, _, _ in values)
    if count.max(initial=0) > 2 or len(count) * q * q > MOST_ENTRIES:
        return None
    edges, of_pair = _edges(owners, count)
    if not all(is_known(value) for value in terms.program.values.values()):
        return PairTables(edges, *_tables(terms, owners, edges, of_pair, values, dtype, terms.program.values))
    with jax.ensure_compile_time_eval():
        read = jax.jit(lambda have: _tables(terms, owners, edges, of_pair, values, dtype, have))
        return PairTables(edges, *read(terms.program.values))


def _edges(owners: csr_array, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of variables that share a term, and for each term of two the number of its pair."""
    both = np.sort(owners.indices[np.repeat(count == 2, count)].reshape(-1, 2), 1)
    edges, of_pair = np.unique(both, axis=0, return_inverse=True) if len(both) else (both, np.zeros(0, int))
    return edges.astype(int), np.ravel(of_pair)


def _tables(
    terms: LocalTerms, owners: csr_array, edges: np.ndarray, of_pair: np.ndarray, values: Any, dtype: Any, have: Any
) -> tuple[Array, Array]:
    """Fields and tables."""
    counts, first, gap = (np.array(column) for column in zip(*values, strict=True))
    q, dim, count = counts.max(), len(values), np.diff(owners.indptr)
    terms = terms._replace(program=terms.program._replace(values=have))
    weights = terms.weights(dtype)
    colour = np.zeros(dim, int)
    for number, group in enumerate(terms.colours):
        colour[group] = number
    bits = max(len(terms.colours) - 1, 0).bit_length()
    digit = np.arange(len(terms.colours))[:, None] >> np.arange(bits) & 1
    a, b = (number.ravel()[None, :, None] for number in np.meshgrid(np.arange(q), np.arange(q), indexing="ij"))
    settings = np.where(digit.T[:, None, :] == 0, a, b).reshape(-1, len(terms.colours))
    settings = np.concatenate([settings, np.arange(q)[:, None] * np.ones(len(terms.colours), int)])
    numbers = jnp.asarray(first, dtype), jnp.asarray(gap, dtype)

    def at(setting: Array) -> Array:
        n = jnp.minimum(setting[colour], counts - 1)
        return terms.terms(numbers[0] + numbers[1] * n.astype(dtype), weights)

    table = jax.lax.map(at, jnp.asarray(settings))
    alone = np.flatnonzero(count == 1)
    past = np.arange(q) >= counts[:, None]
    fields = jnp.zeros((dim, q), dtype).at[owners.indices[np.repeat(count == 1, count)]].add(table[-q:, alone].T)
    return jnp.where(past, -jnp.inf, fields), _by_edge(table, owners, colour, (edges, of_pair), q)


def _by_edge(table: Array, owners: csr_array, colour: np.ndarray, of: Any, q: int) -> Array:
    """The entries of the terms of two variables, added up pair by pair."""
    edges, of_pair = of
    both = np.flatnonzero(np.diff(owners.indptr) == 2)
    i, j = edges[of_pair].T
    unlike = colour[i] ^ colour[j]
    bit = np.log2(unlike & -unlike).astype(int)  # the lowest that tells the two colours apart
    turned = colour[i] >> bit & 1 == 1
    a, b = np.meshgrid(np.arange(q), np.arange(q), indexing="ij")
    low, high = np.where(turned[:, None, None], b, a), np.where(turned[:, None, None], a, b)
    rows = (bit[:, None, None] * q + low) * q + high
    return jnp.zeros((len(edges), q, q), table.dtype).at[of_pair].add(table[rows, both[:, None, None]])


class PottsForm(NamedTuple):
    """Tables as couplings of equal values, where they are such.

    Attributes:
        edges: pairs of variables, each once.
        strengths: of the edges, what is added where both have one value.
        fields: logs of the weight of each value of each variable alone.
        holds: whether that is all that the tables say, to rounding; for two values it always is, if no weight is zero.
    """

    edges: Int[np.ndarray, "edges 2"]
    strengths: Any  # arrays of NumPy or of JAX
    fields: Any
    holds: Any

    @property
    def slopes(self) -> Array:
        """Of two values, of which one is 0 and one 1: the slope of the log-density where all neighbours are zero."""
        i, j = self.edges.T
        alone = self.fields[:, 1] - self.fields[:, 0]
        if is_known(self.holds):
            with np.errstate(invalid="ignore"):  # a pair that is forbidden: NaN, and `holds` is False
                np.subtract.at(alone, i, self.strengths)
                np.subtract.at(alone, j, self.strengths)
            return alone
        return alone.at[i].add(-self.strengths).at[j].add(-self.strengths)

    def along(self, pairs: csr_array) -> Array:
        """The strengths in the order of pairs; zero on the diagonal."""
        which = _numbers(self.edges, pairs)
        if is_known(self.holds):
            return np.append(np.zeros(1, self.strengths.dtype), self.strengths)[which]
        return jnp.append(jnp.zeros(1, self.strengths.dtype), self.strengths)[which]


def potts_form(found: PairTables) -> PottsForm:
    r"""The couplings $J_{ij} [n_i = n_j]$ and the fields of tables, as numbers where these are known.

    With $D(a, b) = T(a, b) - T(a, 0) - T(0, b) + T(0, 0)$ it is $D(a, b) = J (1 + [a = b])$ for values above the first.

    >>> tables = PairTables(np.array([[0, 1]]), jnp.zeros((2, 3)), 0.5 * jnp.eye(3)[None] + jnp.arange(3.0))
    >>> potts = potts_form(tables)
    >>> potts.strengths.tolist(), potts.fields[1].tolist(), bool(potts.holds)
    ([0.5], [0.0, 1.0, 2.0], True)
    """
    if all(is_known(part) for part in found[1:]):
        with jax.ensure_compile_time_eval():
            return PottsForm(found.edges, *(np.asarray(part) for part in _potts(found)))
    return PottsForm(found.edges, *_potts(found))


def _potts(found: PairTables) -> tuple[Array, Array, Array]:
    tables, q, (i, j) = jnp.asarray(found.tables), found.fields.shape[1], found.edges.T
    row, column = tables[:, :, :1], tables[:, :1, :]
    apart = (tables - row - column + tables[:, :1, :1])[:, 1:, 1:]
    strengths = apart[:, 0, 0] / 2 if q > 1 else jnp.zeros(len(i), tables.dtype)
    off = jnp.abs(apart - strengths[:, None, None] * (1 + jnp.eye(q - 1))).max(initial=0.0)
    holds = off <= ROUNDING * jnp.finfo(tables.dtype).eps * jnp.abs(tables).max(initial=0.0)
    above = (jnp.arange(q) > 0) * strengths[:, None]
    fields = jnp.asarray(found.fields).at[i].add((row - tables[:, :1, :1])[:, :, 0] + above)
    fields = fields.at[j].add((column - tables[:, :1, :1])[:, 0, :] + above)
    return strengths, fields, holds & jnp.isfinite(tables).all() & jnp.isfinite(found.fields).all()


def pairs_of(edges: np.ndarray, dim: int) -> csr_array:
    """Which variables interact: both halves, and the diagonal."""
    i, j, own = *edges.T, np.arange(dim)
    rows, columns = np.concatenate([i, j, own]), np.concatenate([j, i, own])
    return csr_array((np.ones(len(rows), bool), (rows, columns)), (dim, dim))


def both_ways(found: PairTables, pairs: csr_array) -> Float[Array, "pairs q q"]:
    """The tables in the order of pairs, those of the second variable of an edge turned around; zero on the diagonal."""
    rows = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    which, q = _numbers(found.edges, pairs), found.fields.shape[1]
    with_none = jnp.concatenate([jnp.zeros((1, q, q), found.tables.dtype), jnp.asarray(found.tables)])[which]
    return jnp.where((rows < pairs.indices)[:, None, None], with_none, with_none.swapaxes(1, 2))


def _numbers(edges: np.ndarray, pairs: csr_array) -> np.ndarray:
    """For each pair one more than the number of its edge; 0 on the diagonal."""
    dim, rows = pairs.shape[0], np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    if not len(edges):
        return np.zeros(len(rows), int)
    coded = np.minimum(rows, pairs.indices) * dim + np.maximum(rows, pairs.indices)
    all_of = edges[:, 0] * dim + edges[:, 1]  # in order
    place = np.minimum(np.searchsorted(all_of, coded), len(edges) - 1)
    return np.where(all_of[place] == coded, place + 1, 0)
