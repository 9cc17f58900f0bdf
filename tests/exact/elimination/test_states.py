import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.exact.elimination import states as module
from gmdsl.exact.elimination.states import states
from gmdsl.spaces.discrete import Binary, Categorical


def couplings():
    return np.random.default_rng(0).normal(size=(3, 3)), np.random.default_rng(1).normal(size=(2, 3))


def loop(v):
    pairs, mixed = (jnp.asarray(c) for c in couplings())
    ring = jnp.sum(pairs[v["a"], jnp.roll(v["a"], 1)])
    return ring + jnp.sum(mixed[v["b"], v["a"][:2]]) + 0.2 * v["b"][0]


def listed():
    """All states of a ring of four labels with two bits hanging on it, and their probabilities."""
    pairs, mixed = couplings()
    a = np.array(list(itertools.product(range(3), repeat=4)))
    b = np.array(list(itertools.product(range(2), repeat=2)))
    a, b = np.repeat(a, 4, 0), np.tile(b, (81, 1))
    terms = pairs[a, np.roll(a, 1, 1)].sum(1) + mixed[b, a[:, :2]].sum(1) + 0.2 * b[:, 0]
    return a, b, np.exp(terms) / np.exp(terms).sum()


SPACES = {"a": Categorical(3, 4), "b": Binary(2)}


@pytest.mark.parametrize("all_listed", [False, True])
def test_probabilities_and_the_best_state_of_a_graph_with_loops(x64, monkeypatch, all_listed):
    if all_listed:
        monkeypatch.setattr(module, "planned", lambda *_: "no plan")
    found = jax.jit(lambda key: states(key, loop, SPACES))(jax.random.key(0))
    a, b, chances = listed()
    for name, value, count in (("a", a, 3), ("b", b, 2)):
        exact = np.stack([chances @ (value == k) for k in range(count)], -1)
        np.testing.assert_allclose(found.probabilities[name], exact, atol=1e-9)
        np.testing.assert_array_equal(found.most_probable[name], value[chances.argmax()])


@pytest.mark.parametrize("all_listed", [False, True])
def test_draws_are_joint_ones(x64, monkeypatch, all_listed):
    if all_listed:
        monkeypatch.setattr(module, "planned", lambda *_: "no plan")
    n = 20_000
    drawn = jax.jit(jax.vmap(lambda key: states(key, loop, SPACES).draw))(jax.random.split(jax.random.key(1), n))
    a, b, chances = listed()
    code = lambda a, b: np.asarray(a) @ [27, 9, 3, 1] * 4 + np.asarray(b) @ [2, 1]  # noqa: E731
    counts = np.bincount(code(drawn["a"], drawn["b"]), minlength=324)[code(a, b)]
    common = n * chances > 5
    z = (counts - n * chances) / np.sqrt(n * chances * (1 - chances))
    assert np.abs(z[common]).max() < 5.0  # of 324; false alarms: 2e-4


def test_what_is_impossible_has_no_probability(x64):
    found = states(
        jax.random.key(0), lambda v: jnp.where(v["s"][0] == v["s"][1], 0.0, -jnp.inf), {"s": Categorical(3, 2)}
    )
    np.testing.assert_allclose(found.probabilities["s"], np.full((2, 3), 1 / 3), atol=1e-12)
    assert found.draw["s"][0] == found.draw["s"][1]
