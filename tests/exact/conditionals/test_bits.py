import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.jaxprs.tape import traced
from gmdsl.exact.conditionals import pairwise, sweeps
from gmdsl.exact.conditionals.bits import BITS, packed, unpacked
from tests.exact.conditionals.enumeration import BIT, CHAINS, SPIN, law, worst_z

SIGNS = np.array([1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0])


def torus(s):
    """Two rows: each bond along a column is there twice, and counts as much as one along a row."""
    return s.reshape(2, 4)


def grid(s):
    return s.reshape(2, 5)


CASES = {
    "torus": (lambda s: 0.3 * jnp.sum(torus(s) * jnp.roll(torus(s), 1, 1))
              + 0.15 * jnp.sum(torus(s) * jnp.roll(torus(s), 1, 0)) + 0.1 * s.sum(), SPIN, 8),
    "free boundary": (lambda s: 0.4 * jnp.sum(grid(s)[:, 1:] * grid(s)[:, :-1])
                      + 0.4 * jnp.sum(grid(s)[1:] * grid(s)[:-1]) - 0.1 * s.sum(), SPIN, 10),
    "signs": (lambda s: 0.5 * jnp.sum(SIGNS * s * jnp.roll(s, 1)) + 0.1 * s[0], SPIN, 10),
    "bits": (lambda s: 0.5 * s.sum() - 0.9 * jnp.sum(s * jnp.roll(s, 1)), BIT, 9),
    "bits and signs": (lambda s: 0.9 * jnp.sum(SIGNS * s * jnp.roll(s, 1)) + 0.5 * s.sum(), BIT, 10),
    "all alike": (lambda s: 0.1 * s.sum() ** 2, SPIN, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_law_is_that_of_enumeration(name, monkeypatch):
    """At most 55 z-scores a case; false alarm 1e-4 each."""
    density, value, count = CASES[name]
    monkeypatch.setattr(pairwise, "MANY", 1)
    used, by_words = [], pairwise.by_words
    monkeypatch.setattr(pairwise, "by_words", lambda *a: used.append(1) or by_words(*a))
    values = (value,) * count
    start = jnp.full((CHAINS, count), value[1], jnp.float32)
    keys = jax.random.split(jax.random.key(1), CHAINS)
    found = jax.jit(jax.vmap(lambda key, x: sweeps.swept(key, density, values, x, 60)))(keys, start)
    assert used
    assert worst_z(np.asarray(found.x), *law(density, values)) < 4.8


def test_bits_are_packed_and_unpacked():
    up = jnp.asarray(np.random.default_rng(0).random(77) < 0.5)
    words = packed(up, 3)
    assert words.shape == (3,)
    assert (unpacked(words, 77) == up).all()
    assert (unpacked(words, 3 * BITS)[77:] == 0).all()


def test_several_strengths_are_not_for_bits():
    density = lambda s: jnp.sum(jnp.arange(1.0, 9.0) * s * jnp.roll(s, 1))  # noqa: E731
    program = traced(lambda v: density(v["x"]), {"x": jnp.ones(8)})
    from gmdsl.exact.conditionals.bits import colour_bits
    from gmdsl.exact.conditionals.colouring import colouring
    from gmdsl.exact.conditionals.couplings import known_couplings
    from gmdsl.exact.conditionals.interactions import interactions

    pairs = interactions(program).pairs
    found, ones = known_couplings(program, pairs, jnp.float32), np.ones(8)
    plan = colour_bits(pairs, colouring(pairs), np.asarray(found.linear), np.asarray(found.values), -ones, 2 * ones)
    assert plan is None


def test_a_chain_has_the_same_bits_alone_and_among_others(monkeypatch):
    monkeypatch.setattr(pairwise, "MANY", 1)
    density, value, count = CASES["signs"]
    run = lambda key, x: sweeps.swept(key, density, (value,) * count, x, 5).x  # noqa: E731
    keys, x = jax.random.split(jax.random.key(3), 7), jnp.ones((7, count))
    together = jax.jit(jax.vmap(run))(keys, x)
    assert (jax.jit(run)(keys[4], x[4]) == together[4]).all()
