import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.samplers.chees_hmc import TIMES
from tests.samplers.laws import assert_exact, target


@pytest.mark.parametrize("metric", [gm.adapt.DiagonalMetric(), gm.adapt.DenseMetric()])
def test_chees_hmc_reproduces_the_law(metric):
    tree = gm.sample(target(), gm.ChEESHMC(metric=metric), chains=16, draws=3000, warmup=400, progress=False)
    assert_exact(tree, least_ess=2000)


def test_all_chains_take_the_same_steps_and_the_settings_are_frozen_after_warm_up():
    stats = gm.sample(target(), gm.ChEESHMC(), chains=16, draws=200, warmup=300, progress=False)["sample_stats"]
    steps = stats["n_steps"].values
    assert (steps == steps[:1]).all()
    assert len(set(steps[0])) > 1  # the length is spread
    assert len(set(stats["step_size"].values.ravel())) == 1
    assert not [name for name in stats.data_vars if name.startswith("_")]  # those are for adapters
    assert abs(float(stats["acceptance_rate"].mean()) - 0.9) < 0.08


def test_a_given_length_is_kept_without_warm_up():
    sampler = gm.ChEESHMC(step_size=0.1, trajectory_length=2.0, inverse_mass=[1.0, 1.0])
    steps = gm.sample(target(), sampler, chains=2, draws=8, warmup=0, progress=False)["sample_stats"]["n_steps"]
    exact = np.ceil(2.0 * np.array(TIMES[:8]) / 0.1 - 1e-4)
    np.testing.assert_array_equal(steps[0], exact)


def test_times_are_spread_evenly_and_each_is_far_from_the_one_before():
    np.testing.assert_array_equal(np.sort(TIMES), (np.arange(16) + 0.5) / 16)
    assert TIMES[:4] == (1 / 32, 17 / 32, 9 / 32, 25 / 32)
    assert np.abs(np.diff(TIMES)).min() >= 1 / 4


def test_settings_out_of_range_are_refused():
    with pytest.raises(gm.SpecError, match=r"ChEESHMC\(max_steps=0\)"):
        gm.ChEESHMC(max_steps=0)
    with pytest.raises(gm.SpecError, match="trajectory_length"):
        gm.ChEESHMC(trajectory_length=-1.0)
    with pytest.raises(gm.SpecError, match=r"chains=1\): CrossChain of ChEESHMC learns from several chains"):
        gm.sample(target(), gm.ChEESHMC(), chains=1, draws=2, warmup=2, progress=False)


def test_chains_that_start_far_out_arrive_and_do_not_hold_up_the_others():
    """Three of sixteen start where the log-density is -5e21: with pooled steps alone they never leave."""
    model = gm.energy(lambda x: 0.5 * jnp.sum(x**2) + jnp.exp(10.0 * x[0]), x=gm.Real(5))
    at = np.random.default_rng(0).normal(size=(16, 5)) * 0.3 - 1.0
    at[:3, 0] = 5.0
    run = {"chains": 16, "draws": 200, "warmup": 1000, "init": {"x": at}, "seed": 0, "progress": False}
    tree = gm.sample(model, gm.ChEESHMC(), **run)
    x, stats = tree["posterior"]["x"].values, tree["sample_stats"]
    assert x[..., 0].mean(1).max() < 0.0
    assert (stats["acceptance_rate"].values.mean(1) > 0.5).all()
    assert float(stats["step_size"].values[0, 0]) > 0.05
