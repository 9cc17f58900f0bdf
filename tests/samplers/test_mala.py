import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from tests.diagnose.buggy_samplers import NoHastings
from tests.samplers.laws import LIMIT, assert_exact, target, z_scores


def test_mala_reproduces_the_law():
    tree = gm.sample(target(), gm.MALA(), draws=40_000, progress=False)
    assert_exact(tree, least_ess=2000)


def test_the_acceptance_rate_settles_near_the_target():
    """Chains differ by 0.14 on this skewed target: 4 standard errors of 32 of them."""
    tree = gm.sample(target(), gm.MALA(target_accept=0.574), chains=32, draws=1000, progress=False)
    assert abs(float(tree["sample_stats"]["acceptance_rate"].mean()) - 0.574) < 0.1


def test_without_the_hastings_ratio_the_law_is_seen_to_be_wrong():
    tree = gm.sample(target(), NoHastings(), draws=12_000, progress=False)
    scores, _ = z_scores(tree)
    assert max(map(abs, scores.values())) > LIMIT


def test_a_dense_metric_straightens_a_correlated_target():
    matrix = np.linalg.inv([[1.0, 0.99], [0.99, 1.0]])
    model = gm.energy(lambda x, m: 0.5 * x @ m @ x, x=gm.Real(2), m=gm.data(matrix))
    steps = {}
    for metric in (gm.adapt.DiagonalMetric(), gm.adapt.DenseMetric()):
        tree = gm.sample(model, gm.MALA(metric=metric), draws=200, progress=False)
        steps[type(metric).__name__] = float(tree["sample_stats"]["step_size"].mean())
    assert steps["DenseMetric"] > 10 * steps["DiagonalMetric"]


def test_a_nan_gradient_is_a_rejection_and_counted():
    trap = gm.energy(lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0.5, x, jnp.nan)), x**2), x=gm.Real())
    with pytest.warns(gm.NaNWarning, match="NaN at"):
        tree = gm.sample(trap, gm.MALA(), init={"x": -1.0}, draws=200, warmup=100, progress=False)
    assert np.isfinite(tree["posterior"]["x"].values).all()
    assert float(tree["sample_stats"]["nan_evaluations"].mean()) > 0
    assert gm.check(tree)["NaN evaluations"].status == "suspect"
