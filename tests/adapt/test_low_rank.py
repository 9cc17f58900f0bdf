import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.inference.kernels.metric import root, unscaled
from tests.samplers.laws import assert_exact, target

DIM = 40


def spiked():
    """A covariance with three long directions and a short one in unequal units, and its precision."""
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.normal(size=(DIM, 4)))[0]
    scales = np.exp(rng.normal(size=DIM))
    inner = np.eye(DIM) + vectors @ np.diag([200.0, 50.0, 20.0, -0.98]) @ vectors.T
    covariance = np.diag(scales) @ inner @ np.diag(scales)
    return covariance, np.linalg.inv(covariance)


def estimate(draws, scores, rule=None):
    rule = rule or gm.adapt.LowRankMetric()
    state, sampler = rule.start(gm.HMC(), draws.shape[1])
    for i, x in enumerate(draws):
        flags = {"warmup_window": jnp.asarray(True), "warmup_window_end": jnp.asarray(i == len(draws) - 1)}
        score = None if scores is None else jnp.asarray(scores[i])
        state, sampler = rule.update(state, sampler, jnp.asarray(x), score, flags)
    assert float(state.count) == 0.0
    return sampler.inverse_mass


def condition(mass, covariance):
    """Largest over smallest variance of the law in the standard coordinates of a metric."""
    scales = root(mass)
    left = np.array([unscaled(scales, column) for column in jnp.asarray(covariance).T])
    return np.linalg.cond(np.array([unscaled(scales, row) for row in jnp.asarray(left).T]))


def test_draws_and_scores_of_a_gaussian_give_its_directions_from_few_draws(x64):
    covariance, precision = spiked()
    draws = np.random.default_rng(1).multivariate_normal(np.full(DIM, 3.0), covariance, 60)
    mass = estimate(draws, -(draws - 3.0) @ precision)
    assert condition(jnp.diag(jnp.asarray(covariance)), covariance) > 1000  # by variances alone
    assert condition(mass, covariance) < 12.0


def test_without_scores_only_what_stands_out_of_the_noise_is_corrected(x64):
    rng = np.random.default_rng(2)
    plain = estimate(rng.normal(size=(100, DIM)), None)
    assert (plain.values == 1.0).all()
    covariance, _ = spiked()
    draws = rng.multivariate_normal(np.zeros(DIM), covariance, 100)
    mass = estimate(draws, None)
    assert 2 <= int((mass.values > 1.0).sum()) <= 4
    assert condition(mass, covariance) < 0.2 * condition(jnp.diag(jnp.asarray(covariance)), covariance)


def test_an_isotropic_law_is_left_to_the_diagonal(x64):
    draws = np.random.default_rng(3).normal(size=(50, DIM)) * 5.0
    mass = estimate(draws, -draws / 25.0)
    assert (mass.values == 1.0).all()
    np.testing.assert_allclose(mass.scales, 5.0, rtol=0.06)  # shrunk by the rule of the other metrics


def test_nuts_mixes_where_a_diagonal_does_not():
    _, precision = spiked()
    model = gm.energy(lambda x, p: 0.5 * x @ p @ x, x=gm.Real(DIM), p=gm.data(precision))
    steps = {}
    for metric in (gm.adapt.DiagonalMetric(), gm.adapt.LowRankMetric()):
        tree = gm.sample(model, gm.NUTS(metric=metric), draws=200, warmup=500, progress=False)
        steps[type(metric).__name__] = float(tree["sample_stats"]["n_steps"].mean())
    assert steps["LowRankMetric"] < 0.6 * steps["DiagonalMetric"]


@pytest.mark.parametrize("sampler", [gm.NUTS, gm.MALA, gm.RandomWalk])
def test_every_sampler_keeps_its_law_under_a_low_rank_metric(sampler):
    draws = {gm.NUTS: 8000, gm.MALA: 40_000, gm.RandomWalk: 60_000}[sampler]
    tree = gm.sample(target(), sampler(metric=gm.adapt.LowRankMetric()), draws=draws, progress=False)
    assert_exact(tree, least_ess=2000)


def test_settings_out_of_range_are_refused():
    with pytest.raises(gm.SpecError, match=r"LowRankMetric\(rank=0\): a whole number of at least 1"):
        gm.adapt.LowRankMetric(rank=0)
    with pytest.raises(gm.SpecError, match="a factor above 1"):
        gm.adapt.LowRankMetric(cutoff=0.5)
    with pytest.raises(gm.SpecError, match=r"shape \(2, 2\); with LowRankMetric it is"):
        gm.sample(
            target(),
            gm.HMC(inverse_mass=jnp.eye(2), metric=gm.adapt.LowRankMetric()),
            draws=2,
            warmup=2,
            progress=False,
        )
