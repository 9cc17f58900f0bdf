import numpy as np
import pytest

import gmdsl as gm


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
