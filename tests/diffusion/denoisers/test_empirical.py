import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import gmdsl as gm

DATA = np.random.default_rng(0).normal(size=(30, 2)) * [1.0, 2.0]
PROCESSES = [gm.VP(), gm.VE(0.05, 10.0), gm.Brownian(1.0, t_max=4.0)]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)


def by_hand(process, x, t):
    """log p_t, the posterior mean and the score, datum by datum."""
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    terms = np.array([stats.multivariate_normal(alpha * d, sigma**2 * np.eye(2)).logpdf(x) for d in DATA])
    log_density = np.logaddexp.reduce(terms) - np.log(len(DATA))
    weight = np.exp(terms - np.logaddexp.reduce(terms))
    return log_density, weight @ DATA, sum(w * (alpha * d - x) / sigma**2 for w, d in zip(weight, DATA, strict=True))


@each_process
def test_density_denoiser_and_score_are_those_of_a_sum_over_the_data(process, x64):
    family = gm.noise(DATA, process)
    for t in (0.02 * process.t_max, 0.3 * process.t_max, process.t_max):
        for x in np.array([[0.0, 0.5], [-2.0, 3.0], [8.0, -8.0]]):
            log_density, mean, score = by_hand(process, x, t)
            np.testing.assert_allclose(family.log_density(x, t), log_density, rtol=1e-9)
            np.testing.assert_allclose(family.denoise(x, t), mean, rtol=1e-9)
            np.testing.assert_allclose(family.score(x, t), score, rtol=1e-8, atol=1e-9)


@each_process
def test_the_score_is_the_gradient_of_the_log_density(process, x64):
    family, t = gm.noise(DATA, process), 0.1 * process.t_max
    for x in np.array([[0.0, 0.5], [-2.0, 3.0]]):
        slope = jax.grad(lambda x: family.log_density(x, t))(jnp.asarray(x))
        np.testing.assert_allclose(family.score(x, t), slope, rtol=1e-9)
        hessian = jax.hessian(lambda x: family.log_density(x, t))(jnp.asarray(x))
        np.testing.assert_allclose(family.divergence(x, t), np.trace(hessian), rtol=1e-9)


def test_the_law_at_one_time_is_a_model_that_compiles_and_draws(x64):
    """Five numbers of 40,000 draws; all |z| < 4.5 is a false alarm in 1 of 29,000 seeds."""
    process, t, n = gm.VP(), 0.2, 40_000
    family = gm.noise(DATA, process)
    model = family.at(t)
    density, x = gm.compile(model), np.array([0.3, -1.0])
    np.testing.assert_allclose(density.log_density({"x": x}), family.log_density(x, t), rtol=1e-12)
    np.testing.assert_allclose(density.score({"x": x})["x"], family.score(x, t), rtol=1e-10)
    draws = np.asarray(model.sample(jax.random.key(3), n)["x"])
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    second = alpha**2 * DATA.T @ DATA / len(DATA) + sigma**2 * np.eye(2)
    products = np.einsum("ni,nj->nij", draws, draws)
    z = [
        *((draws.mean(0) - alpha * DATA.mean(0)) / (draws.std(0) / np.sqrt(n))),
        *((products.mean(0) - second) / (products.std(0) / np.sqrt(n)))[np.triu_indices(2)],
    ]
    assert np.abs(z).max() < 4.5


def test_two_variables_come_as_a_dict_and_are_noised_together(x64):
    both = gm.noise({"a": DATA[:, 0], "b": DATA[:, 1:]}, gm.VP())
    joined, x, t = gm.noise(DATA, gm.VP()), np.array([0.3, -1.0]), 0.3
    point = {"b": x[1:], "a": x[0]}
    np.testing.assert_allclose(both.log_density(point, t), joined.log_density(x, t), rtol=1e-12)
    score = both.score(point, t)
    assert {n: v.shape for n, v in score.items()} == {"a": (), "b": (1,)}
    np.testing.assert_allclose([score["a"], score["b"][0]], joined.score(x, t), rtol=1e-12)
    density = gm.compile(both.at(t))
    np.testing.assert_allclose(density.log_density(point), joined.log_density(x, t), rtol=1e-12)


def test_the_way_back_returns_the_data():
    """Following the exact score of a data set to t = 0 gives data, each with the same chance."""
    family = gm.noise(DATA[:4], gm.VP())
    draws = gm.sample(family, gm.DDPM(steps=300), draws=2000, progress=False)["posterior"]["x"].values[0]
    gap = np.linalg.norm(draws[:, None] - DATA[None, :4], axis=-1)
    assert gap.min(1).max() < 1e-3
    counts = np.bincount(gap.argmin(1), minlength=4)
    assert (np.abs(counts - 500) < 4.5 * np.sqrt(2000 * 0.25 * 0.75)).all()


def test_at_time_zero_there_is_no_density():
    with pytest.raises(gm.SpecError, match=r"at\(0\): a data set has no density. Take a time above 0"):
        gm.noise(DATA, gm.VP()).at(0.0)
