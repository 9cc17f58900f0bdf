import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.inference.kernels.transitions import _step_by_step, transitions


@pytest.fixture(scope="module")
def tree():
    model = gm.energy(lambda x: 0.5 * (x - 2.0) ** 2 / 0.25, x=gm.Real())  # N(2, 1/4)
    return gm.sample(model, gm.Langevin(0.2), chains=100, draws=4000, warmup=200, progress=False)


def test_the_stationary_variance_is_biased_by_the_known_amount(tree):
    x = tree["posterior"]["x"].values
    exact = 0.25 / (1 - 0.2 / (4 * 0.25))
    means = ((x - 2.0) ** 2).mean(axis=1)  # one per chain: independent
    se = means.std() / np.sqrt(len(means))
    assert abs(means.mean() - exact) < 4.5 * se  # false alarms 7e-6
    assert abs(means.mean() - 0.25) > 10 * se  # the target's own variance is ruled out
    assert abs(x.mean() - 2.0) < 4.5 * x.mean(axis=1).std() / np.sqrt(len(means))


def test_the_result_says_that_its_law_is_biased(tree):
    assert "differs from the target" in tree["posterior"].attrs["bias"]
    assert gm.check(tree)["law of the sampler"].status == "note"


def test_a_step_beyond_stability_is_found_out():
    model = gm.energy(lambda x: 0.5 * x**2, x=gm.Real())
    tree = gm.sample(model, gm.Langevin(6.0), draws=300, warmup=0, progress=False)
    assert gm.check(tree).status == "failed"


def test_a_step_is_positive():
    with pytest.raises(gm.SpecError, match="a step is above zero"):
        gm.Langevin(0.0)


def ends(model, sampler, start, steps=7, way=transitions):
    """Where chains from these starts end."""
    target, keys = gm.compile(model).target, jax.random.split(jax.random.key(1), len(start))
    return np.asarray(jax.vmap(lambda key, x: way(sampler, key, target, x, steps)[0])(keys, jnp.asarray(start)))


def test_an_advance_is_the_same_steps_one_after_the_other(x64):
    model = gm.energy(lambda x: 0.25 * jnp.sum(x**4) + jnp.sum(x), x=gm.Real(3))
    start = np.random.default_rng(0).normal(size=(20, 3))
    found = ends(model, gm.Langevin(0.1), start)
    np.testing.assert_allclose(found, ends(model, gm.Langevin(0.1), start, way=_step_by_step), rtol=1e-10)
    assert np.abs(found - start).min() > 1e-5
    np.testing.assert_array_equal(ends(model, gm.Langevin(0.1), start, steps=0), start)


def test_an_advance_makes_no_move_out_of_the_support_either(x64):
    """An exponential law on the positive numbers, whose score is NaN outside of them: the same chains as by steps."""
    model = gm.energy(lambda x: jnp.where(x > 0, x - 0.0 * jnp.sqrt(x), jnp.inf), x=gm.Real())
    start = np.full((300, 1), 0.3)
    for steps in (1, 9):
        found = ends(model, gm.Langevin(0.2), start, steps)
        np.testing.assert_allclose(found, ends(model, gm.Langevin(0.2), start, steps, _step_by_step), rtol=1e-10)
        assert (found > 0).all()
    stayed = ends(model, gm.Langevin(0.2), start, 1) == start
    assert 0.1 < stayed.mean() < 0.6  # P(0.3 - 0.1 + sqrt(0.2) e < 0) is 0.33


def test_an_advance_leaves_a_start_without_a_score_by_noise(x64):
    """The score of |x| by a root of its square is NaN at zero: after a step the law is that of the noise."""
    model = gm.energy(lambda x: jnp.sqrt(jnp.sum(x**2)), x=gm.Real(2))
    found = ends(model, gm.Langevin(0.1), np.zeros((400, 2)), steps=1)
    assert np.isfinite(found).all()
    assert abs((found**2).mean() / 0.1 - 1.0) < 4.5 * np.sqrt(2.0 / 800)  # false alarms 7e-6


class Drifting(gm.Langevin):
    def step(self, key, target, state):
        return state._replace(position=state.position + 1.0), {}


def test_a_subclass_advances_by_its_own_step():
    model = gm.energy(lambda x: 0.5 * jnp.sum(x**2), x=gm.Real(2))
    np.testing.assert_array_equal(ends(model, Drifting(0.1), np.zeros((3, 2)), steps=4), np.full((3, 2), 4.0))


def test_an_advance_costs_a_gradient_a_step(x64):
    slopes = []

    @jax.custom_vjp
    def energy(x):
        return 0.5 * jnp.sum(x**2)

    def backward(x, g):
        jax.debug.callback(lambda _: slopes.append(1), x)
        return (g * x,)

    energy.defvjp(lambda x: (energy(x), x), backward)
    target = gm.compile(gm.energy(lambda x: energy(x), x=gm.Real(2))).target
    for way, count in ((transitions, 5), (_step_by_step, 6)):
        jax.block_until_ready(way(gm.Langevin(0.1), jax.random.key(0), target, jnp.ones(2), 5))
        jax.effects_barrier()
        assert len(slopes) == count
        slopes.clear()
