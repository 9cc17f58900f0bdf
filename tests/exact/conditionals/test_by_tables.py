import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.exact.conditionals import fields
from gmdsl.exact.conditionals.by_tables import by_tables
from gmdsl.exact.conditionals.colouring import colouring
from gmdsl.exact.conditionals.pair_tables import pairs_of
from tests.exact.conditionals.enumeration import LABEL, law, worst_z

RNG = np.random.default_rng(1)
EDGES = np.array([[0, 1], [0, 2], [1, 3], [2, 3], [3, 4]])
TABLES, FIELDS = RNG.normal(0.0, 0.8, (5, 3, 3)), RNG.normal(0.0, 0.5, (5, 3))

CHAINS = 4096


def words():
    keys = jax.random.key_data(jax.random.split(jax.random.key(3), CHAINS))
    return keys[:, 0], keys[:, 1]


def density(x):
    n = x.astype(int)
    i, j = EDGES.T
    return jnp.asarray(TABLES)[jnp.arange(5), n[i], n[j]].sum() + jnp.asarray(FIELDS)[jnp.arange(5), n].sum()


def test_unlike_tables_of_a_ring_with_a_tail(monkeypatch):
    """15 z-scores of labels and their products, by offsets and lookups; false alarm 3e-5 each."""
    pairs = pairs_of(EDGES, 5)
    number = {tuple(edge): k for k, edge in enumerate(EDGES.tolist())}
    rows = np.repeat(np.arange(5), np.diff(pairs.indptr))
    both = np.zeros((pairs.nnz, 3, 3), np.float32)
    for k, (i, j) in enumerate(zip(rows, pairs.indices, strict=True)):
        if i != j:
            both[k] = TABLES[number[i, j]] if i < j else TABLES[number[j, i]].T
    numbers = jnp.asarray(FIELDS, jnp.float32), jnp.asarray(both)
    for offsets in (48, 0):
        monkeypatch.setattr(fields, "MOST_OFFSETS", offsets)
        run = jax.jit(lambda n: by_tables(pairs, colouring(pairs), 30, words(), numbers, n))
        n, changed, broken = run(jnp.zeros((5, CHAINS), jnp.int8))
        assert worst_z(np.asarray(n.T, float), *law(density, (LABEL,) * 5)) < 4.5
        assert not broken.any()
        assert int(changed.min()) > 0
