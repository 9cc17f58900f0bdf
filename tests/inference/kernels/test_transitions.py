import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.core.random.keys import step_key
from gmdsl.inference.kernels.transitions import transitions


def target(scale=1.0):
    return gm.compile(gm.energy(lambda x, s: 0.5 * jnp.sum((x / s) ** 2), x=gm.Real(2), s=gm.data(scale))).target


@pytest.mark.parametrize(
    "sampler", [gm.MALA(0.7), gm.HMC(0.4, steps=4), gm.RandomWalk(1.5), gm.NUTS(0.5)], ids=lambda s: type(s).__name__
)
def test_an_exact_sampler_leaves_its_target_invariant(sampler, x64):
    """6000 exact draws moved by three transitions: means and second moments, four |z| < 4.1 per sampler, one false
    alarm in 6,000 seeds; the moves are far from none."""
    n = 6000
    start = jax.random.normal(jax.random.key(0), (n, 2))
    keys = jax.random.split(jax.random.key(1), n)
    x, rate = jax.vmap(lambda key, x: transitions(sampler, key, target(), x, 3))(keys, start)
    x = np.asarray(x)
    assert (np.abs(x.mean(0)) < 4.1 / np.sqrt(n)).all()
    assert (np.abs((x**2).mean(0) - 1.0) < 4.1 * np.sqrt(2.0 / n)).all()
    assert np.abs(np.corrcoef(x[:, 0], start[:, 0])[0, 1]) < 0.9
    assert 0.2 < float(rate.mean()) < 1.0


def test_many_transitions_forget_the_start(x64):
    """From (30, -30) to N(0, 9): four |z| < 4.5 with 2000 chains, one false alarm in 70,000 seeds."""
    keys = jax.random.split(jax.random.key(2), 2000)
    move = lambda key: transitions(gm.MALA(2.0), key, target(3.0), jnp.array([30.0, -30.0]), 300)[0]  # noqa: E731
    x = np.asarray(jax.vmap(move)(keys))
    assert (np.abs(x.mean(0)) < 4.5 * 3.0 / np.sqrt(2000)).all()
    assert (np.abs((x**2).mean(0) / 9.0 - 1.0) < 4.5 * np.sqrt(2.0 / 2000)).all()


def test_steps_are_the_samplers_own_steps_each_with_a_key_of_its_own(x64):
    sampler, key, start = gm.RandomWalk(0.5), jax.random.key(3), jnp.array([0.3, -0.1])
    found, rate = transitions(sampler, key, target(), start, 2)
    sampler = gm.RandomWalk(0.5, inverse_mass=jnp.ones(2))
    state, rates = sampler.init(step_key(key, 0), target(), start), []
    for i in range(2):
        state, stats = sampler.step(step_key(key, i + 1), target(), state)
        rates.append(stats["acceptance_rate"])
    np.testing.assert_allclose(found, sampler.position(state), rtol=1e-12)
    np.testing.assert_allclose(rate, np.mean(rates), rtol=1e-12)


def test_a_sampler_without_an_acceptance_rate_gives_nan(x64):
    x, rate = transitions(gm.Langevin(0.1), jax.random.key(0), target(), jnp.ones(2), 5)
    assert np.isnan(rate)
    assert np.isfinite(x).all()


def test_no_step_is_no_move(x64):
    x, rate = transitions(gm.MALA(0.1), jax.random.key(0), target(), jnp.ones(2), 0)
    np.testing.assert_array_equal(x, [1.0, 1.0])
    assert rate == 0.0
