import numpy as np
import pytest

import gmdsl as gm

from .targets import LOG_Z, MEAN, PRECISION, A, B, drawn, funnel, gamma, gaussian


@pytest.mark.usefixtures("x64")
def test_a_correlated_gaussian_gets_its_means_and_the_inverse_of_the_diagonal_of_its_precision():
    """The variances are 1 / diag(precision), a fifth of the marginal ones here. The bound falls short of log Z by the
    divergence, half of log(product of the diagonal / determinant)."""
    tree = drawn(gaussian(), gm.MeanField(updates=4000, estimate=50), draws=4000)
    group = tree["approximation"]
    narrow, marginal = 1 / np.sqrt(np.diag(PRECISION)), np.sqrt(np.diag(np.linalg.inv(PRECISION)))
    np.testing.assert_allclose(group["std"], narrow, rtol=0.02)
    assert (narrow[:2] < 0.5 * marginal[:2]).all()
    assert (np.abs(group["mean"].values - MEAN) < 0.02 * marginal).all()
    divergence = 0.5 * (np.log(np.diag(PRECISION)).sum() - np.linalg.slogdet(PRECISION)[1])
    assert float(group["elbo"][-200:].mean()) == pytest.approx(LOG_Z - divergence, abs=0.1)
    x = tree["posterior"]["x"].values[0]
    assert (np.abs(x.std(0) / narrow - 1) < 4 / np.sqrt(8000) + 0.02).all()


@pytest.mark.usefixtures("x64")
def test_a_skew_target_gets_the_optimum_of_the_bound_and_not_the_mode():
    """For u = log s of Gamma(a, b) the bound is highest at variance 1 / a and mean log(a / b) - 1 / (2 a)."""
    group = drawn(gamma(), gm.MeanField(estimate=50), draws=10)["approximation"]
    assert float(group["mean"][0]) == pytest.approx(np.log(A / B) - 1 / (2 * A), abs=0.01)
    assert float(group["std"][0]) == pytest.approx(1 / np.sqrt(A), rel=0.02)


def test_the_bound_rises_from_step_to_step():
    elbo = drawn(gamma(), gm.MeanField(updates=400), draws=10)["approximation"]["elbo"].values
    assert elbo.shape == (400,)
    assert elbo[-100:].mean() > elbo[:10].mean() + 0.01


def test_a_funnel_is_called_suspect():
    report = gm.check(drawn(funnel(), gm.MeanField(), draws=4000))
    assert report["weights"].status == "suspect"


def test_another_seed_compiles_nothing(compilations):
    for seed in (0, 1, 2):
        before = len(compilations)
        drawn(gamma(), gm.MeanField(updates=400), draws=10, seed=seed)
        compiled = len(compilations) - before
    assert compiled == 0
