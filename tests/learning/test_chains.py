import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.adapt.inner_step import InnerStep
from gmdsl.learning.chains import Chains, moved, picked, settled


def bowl(scale=1.0):
    energy = gm.energy(lambda x, s: 0.5 * jnp.sum((x / s) ** 2), x=gm.Real(2), s=gm.input(gm.Positive()))
    return gm.compile(energy.condition(s=scale)).target


def test_the_same_number_of_chains_moves_on_from_where_it_was():
    store = jnp.arange(6.0).reshape(3, 2)
    chosen, starts = picked(jax.random.key(0), jnp.full((5, 2), -1.0), store, 3, 0.0)
    assert chosen.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(starts, store)


def test_of_a_larger_store_different_chains_are_picked_and_a_share_begins_anew_at_data():
    store, fresh = jnp.arange(10_000.0)[:, None], -1.0 - jnp.arange(3.0)[:, None]
    chosen, starts = picked(jax.random.key(1), fresh, store, 4000, 0.25)
    assert len(np.unique(chosen)) == 4000
    new = np.asarray(starts[:, 0] < 0)
    np.testing.assert_array_equal(starts[~new, 0], chosen[~new])
    assert abs(new.mean() - 0.25) < 4.5 * np.sqrt(0.25 * 0.75 / 4000)
    counts = np.bincount(np.asarray(-1.0 - starts[new, 0], int), minlength=3)
    assert (np.abs(counts - new.sum() / 3) < 4.5 * np.sqrt(new.sum() * 2 / 9)).all()


def test_the_step_follows_the_mean_acceptance_of_the_chains_that_moved():
    inner, target = InnerStep(gm.MALA(target_accept=0.6)), bowl()
    before = Chains(jnp.zeros((50, 2)), jnp.log(jnp.float32(0.9)), jnp.ones(()))
    after = moved(inner, jax.random.key(0), lambda _: target, before, None, 4, 0.5)
    assert 0.0 < float(after.acceptance) < 1.0
    expected = np.log(0.9) + 0.5 * (float(after.acceptance) - 0.6)
    assert float(after.log_step) == pytest.approx(expected, rel=1e-5)
    assert len(np.unique(np.asarray(after.x), axis=0)) == 50


def test_each_chain_moves_under_the_density_of_its_datum():
    """Widths of 0.5 and 2: their squares within 4.5 standard errors, and 2 % for chains that have hardly settled."""
    inner, scales = InnerStep(gm.MALA(step_size=0.3)), jnp.tile(jnp.array([0.5, 2.0]), 2000)
    first = Chains(jnp.zeros((4000, 2)), inner.first(), jnp.ones(()))
    x = np.asarray(moved(inner, jax.random.key(2), bowl, first, scales, 150, 0.0).x)
    for index, scale in enumerate((0.5, 2.0)):
        assert abs((x[index::2] ** 2).mean() / scale**2 - 1.0) < 4.5 * np.sqrt(2 / 4000) + 0.02


def test_a_warm_up_finds_a_step_with_the_acceptance_aimed_at():
    inner, target = InnerStep(gm.MALA(step_size=20.0)), bowl(0.1)
    chains = settled(inner, jax.random.key(3), lambda _: target, jnp.zeros((200, 2)), None, 400)
    later = moved(inner, jax.random.key(4), lambda _: target, chains, None, 10, 0.0)
    assert float(later.acceptance) == pytest.approx(inner.rule.target_accept, abs=0.1)
