import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array

from gmdsl.exact.conditionals import by_blocks as module
from gmdsl.exact.conditionals.by_blocks import by_blocks
from gmdsl.exact.conditionals.two_values import BitOdds
from tests.exact.conditionals.enumeration import BIT, law, worst_z

RNG = np.random.default_rng(1)
G = RNG.normal(0.0, 0.7, (9, 9))
G = np.triu(G, 1) + np.triu(G, 1).T
BASE = RNG.normal(0.0, 0.5, 9)

CHAINS = 4096


def words():
    keys = jax.random.key_data(jax.random.split(jax.random.key(3), CHAINS))
    return keys[:, 0], keys[:, 1]


def drawn(gains):
    odds = BitOdds(jnp.asarray(BASE, jnp.float32), jnp.asarray(gains.ravel(), jnp.float32))
    pairs = csr_array(np.ones((9, 9), bool))
    run = jax.jit(lambda up: by_blocks(pairs, 40, words(), odds, up))
    return run(jnp.zeros((9, CHAINS), jnp.int8))


def exact():
    return law(lambda u: 0.5 * u @ jnp.asarray(G) @ u + jnp.asarray(BASE) @ u, (BIT,) * 9)


def test_blocks_leave_the_law_as_it_is(monkeypatch):
    """45 z-scores for each size of a block; false alarm 1e-4 each."""
    for size in (2, 4, 16):
        monkeypatch.setattr(module, "BLOCK", size)
        up, changed, broken = drawn(G)
        assert worst_z(np.asarray(up.T, float), *exact()) < 4.8
        assert not broken.any()
        assert 0 < int(changed.min()) <= int(changed.max()) <= 40 * 9


def test_a_block_that_forgets_its_own_changes_is_seen(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 16)
    scan = jax.lax.scan

    def forgetful(one, fields, of):
        return scan(one, fields, (0 * of[0], *of[1:]))

    monkeypatch.setattr(module.jax.lax, "scan", forgetful)
    assert worst_z(np.asarray(drawn(G)[0].T, float), *exact()) > 8.0


def test_nan_is_told():
    assert drawn(G + np.nan)[2].all()
