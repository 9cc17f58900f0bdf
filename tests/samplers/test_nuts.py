import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from tests.samplers.laws import assert_exact, target


@pytest.mark.parametrize("metric", [gm.adapt.DiagonalMetric(), gm.adapt.DenseMetric()])
def test_nuts_reproduces_the_law(metric):
    tree = gm.sample(target(), gm.NUTS(metric=metric), draws=8000, progress=False)
    assert_exact(tree, least_ess=2000)


def test_stats_are_consistent_with_each_other():
    stats = gm.sample(target(), gm.NUTS(), draws=300, progress=False)["sample_stats"]
    assert (stats["n_steps"] <= 2 ** stats["tree_depth"] - 1).all()
    assert (stats["n_steps"] >= 2 ** (stats["tree_depth"] - 1)).all()
    assert ((stats["energy"] + stats["lp"]) > -1e-4).all()  # energy = kinetic - lp, kinetic is positive
    np.testing.assert_allclose(stats["acceptance_rate"].mean(), 0.8, atol=0.15)


def test_the_step_size_is_frozen_after_warm_up():
    tree = gm.sample(target(), gm.NUTS(), draws=50, warmup=200, progress=False)
    draws, warmup = tree["sample_stats"]["step_size"], tree["warmup_sample_stats"]["step_size"]
    assert (draws == draws[:, :1]).all()
    assert (warmup.std("draw") > 0.01).all()


def test_a_higher_target_gives_smaller_steps():
    steps = [
        float(
            gm.sample(target(), gm.NUTS(target_accept=t), draws=1, progress=False)["sample_stats"]["step_size"].mean()
        )
        for t in (0.6, 0.95)
    ]
    assert steps[1] < 0.7 * steps[0]


def test_a_shallow_tree_says_that_it_hit_its_limit():
    wide = gm.energy(lambda x: 0.5 * (x[0] ** 2 + (x[1] / 3000.0) ** 2), x=gm.Real(2))
    sampler = gm.NUTS(step_size=0.5, max_tree_depth=2)
    tree = gm.sample(wide, sampler, warmup=0, draws=100, progress=False)
    assert float(tree["sample_stats"]["reached_max_treedepth"].mean()) > 0.8
    assert gm.check(tree)["tree depth"].status == "suspect"


def test_the_inverse_mass_becomes_the_variances():
    scales = jnp.array([0.1, 1.0, 20.0])
    model = gm.energy(lambda x, s: 0.5 * jnp.sum((x / s) ** 2), x=gm.Real(3), s=gm.data(scales))
    tree = gm.sample(model, gm.NUTS(), draws=500, progress=False)
    assert float(tree["sample_stats"]["n_steps"].mean()) < 10  # 200 times as many without the metric


def test_settings_out_of_range_are_refused():
    with pytest.raises(gm.SpecError, match="max_tree_depth=0"):
        gm.NUTS(max_tree_depth=0)
