import jax
import numpy as np
import pytest

import gmdsl as gm
from tests.samplers.laws import assert_exact, target


def test_hmc_reproduces_the_law():
    tree = gm.sample(target(), gm.HMC(steps=8), draws=3000, progress=False)
    assert_exact(tree, least_ess=2000)


def test_no_trajectory_length_resonates():
    model = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    sampler = gm.HMC(step_size=np.pi / 10, steps=10)  # half a period: without jitter x only changes sign
    tree = gm.sample(model, sampler, warmup=0, draws=2000, progress=False)
    squared = tree["posterior"]["x"].values ** 2
    assert abs(squared.mean() - 1.0) < 0.15


def test_a_huge_step_is_rejected_and_flagged():
    model = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    tree = gm.sample(model, gm.HMC(step_size=50.0), warmup=0, draws=50, progress=False)
    assert tree["sample_stats"]["diverging"].all()
    assert not tree["sample_stats"]["accepted"].any()
    assert gm.check(tree).status == "failed"


def test_the_acceptance_rate_settles_near_the_target():
    wide = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(50))
    rates = [
        float(
            gm.sample(wide, gm.HMC(target_accept=t), draws=500, progress=False)["sample_stats"][
                "acceptance_rate"
            ].mean()
        )
        for t in (0.65, 0.9)
    ]
    assert -0.05 < rates[0] - 0.65 < 0.15  # dual averaging errs towards small steps
    assert abs(rates[1] - 0.9) < 0.06


def test_at_least_one_step_is_needed():
    with pytest.raises(gm.SpecError, match="steps=0"):
        gm.HMC(steps=0)
    assert jax.tree.leaves(gm.HMC())[1] == 10
