import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array

from gmdsl.exact.conditionals import fields
from gmdsl.exact.conditionals.by_fields import by_fields
from gmdsl.exact.conditionals.colouring import colouring
from gmdsl.exact.conditionals.two_values import BitOdds
from tests.exact.conditionals.enumeration import BIT, law, worst_z

RNG = np.random.default_rng(1)
STAR = np.zeros((9, 9))
for a, b in ((0, 1), (0, 2), (0, 3), (4, 5), (5, 6), (1, 6), (7, 3)):
    STAR[a, b] = STAR[b, a] = RNG.normal()
BASE = RNG.normal(0.0, 0.5, 9)

CHAINS = 4096


def words():
    keys = jax.random.key_data(jax.random.split(jax.random.key(3), CHAINS))
    return keys[:, 0], keys[:, 1]


def test_all_ways_to_a_field_draw_the_law_and_the_same_bits(monkeypatch):
    """A graph of unlike degrees by matrices, offsets and lookups; 45 z-scores; false alarm 1e-4 each."""
    pairs = csr_array(STAR != 0)
    odds = BitOdds(jnp.asarray(BASE, jnp.float32), jnp.asarray(STAR[STAR != 0], jnp.float32))
    exact = law(lambda u: 0.5 * u @ jnp.asarray(STAR) @ u + jnp.asarray(BASE) @ u, (BIT,) * 9)
    for small, offsets in ((64, 48), (0, 48), (0, 0)):
        monkeypatch.setattr(fields, "SMALL", small)
        monkeypatch.setattr(fields, "FILLED", 2.0)
        monkeypatch.setattr(fields, "MOST_OFFSETS", offsets)
        run = jax.jit(lambda up: by_fields(pairs, colouring(pairs), 30, words(), odds, up))
        up, changed, broken = run(jnp.zeros((9, CHAINS), jnp.int8))
        assert worst_z(np.asarray(up.T, float), *exact) < 4.8
        assert not broken.any()
        assert int(changed.min()) > 0
