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
    assert abs(float(stats["acceptance_rate"].mean()) - 0.8) < 0.1


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
