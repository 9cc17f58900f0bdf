import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm

from ...cases import models
from ...cases.scoring import load, quantities
from .targets import LOG_Z, MEAN, PRECISION, A, B, drawn, funnel, gamma, gaussian, two_modes


@pytest.mark.usefixtures("x64")
def test_a_gaussian_is_recovered():
    """A climb of a quadratic gathers its curvature, to one per cent where the line search is inexact: one path has the
    mean, the constant and nearly equal weights."""
    tree = drawn(gaussian(), gm.Pathfinder(paths=1, resample=False), draws=4000)
    np.testing.assert_allclose(tree["approximation"]["mean"][0], MEAN, rtol=1e-6)
    assert tree.attrs["log_z"] == pytest.approx(LOG_Z, abs=0.02)
    assert tree.attrs["weight_ess"] > 0.98 * 4000
    covariance = np.cov(tree["posterior"]["x"].values[0].T)
    exact = np.linalg.inv(PRECISION)
    error = np.sqrt((exact**2 + np.outer(np.diag(exact), np.diag(exact))) / 4000)
    assert (np.abs(covariance - exact) < 4.5 * error).all()


def test_weights_of_several_paths_are_those_of_their_mixture():
    """Two modes of weights 1 and e^-1: log Z counts both, and so do resampled draws; |z| < 4 for two numbers."""
    tree = drawn(two_modes(), gm.Pathfinder(paths=8), draws=4000, seed=2)
    exact = np.log(2 * np.pi) + np.log1p(np.exp(-1.0))
    assert abs(tree.attrs["log_z"] - exact) < 4 * tree.attrs["log_z_standard_error"]
    share = 1 / (1 + np.exp(-1.0))
    right = (tree["posterior"]["x"].values[0, :, 0] > 0).mean()
    assert abs(right - share) < 4 * np.sqrt(share * (1 - share) / tree.attrs["weight_ess"])
    plain = (tree["particles"]["x"].values[0, :, 0] > 0).mean()
    paths = tree["approximation"]["mean"].values[:, 0] > 0
    assert 0 < paths.sum() < 8
    assert abs(plain - paths.mean()) < 4 * np.sqrt(0.25 / 4000)


def test_resampled_draws_are_those_of_a_constrained_target():
    """Gamma(3, 0.5): mean 6, standard deviation sqrt(12); |z| < 4 by the effective size."""
    tree = drawn(gamma(), gm.Pathfinder(), draws=8000)
    s = tree["posterior"]["s"].values[0]
    size = tree.attrs["weight_ess"]
    assert abs(s.mean() - A / B) < 4 * np.sqrt(A) / B / np.sqrt(size)
    assert abs(s.var() - A / B**2) < 4 * A / B**2 * np.sqrt((2 + 6 / A) / size)
    assert abs(tree.attrs["log_z"]) < 4 * tree.attrs["log_z_standard_error"]
    assert set(np.unique(tree["sample_stats"]["path"])) <= set(range(8))


def test_the_bound_is_below_the_constant_and_is_that_of_its_step():
    tree = drawn(gaussian(), gm.Pathfinder(paths=4, estimate=200), draws=10)
    group = tree["approximation"]
    assert (group["elbo"].values < LOG_Z + 0.05).all()
    assert (group["elbo"].values > LOG_Z - 0.5).all()
    assert (group["step"].values > 1).all()


def test_a_posterior_of_many_data_is_met_in_single_precision():
    """Means within 0.2 standard deviations, standard deviations within 15 %."""
    case = load("posterior", "pdb_kidscore_momiq")
    tree = drawn(models.pdb_kidscore_momiq(case.meta["data"]), gm.Pathfinder(), draws=4000)
    assert gm.check(tree)["weights"].status == "ok"
    draws = quantities(tree["posterior"], case.truth)
    for quantity, (mean, std, *_) in case.truth.items():
        assert abs(draws[quantity].mean() - mean) < 0.2 * std, quantity
        assert abs(draws[quantity].std() / std - 1) < 0.15, quantity


def test_where_it_fails_the_weights_say_so():
    report = gm.check(drawn(funnel(), gm.Pathfinder(), draws=4000))
    assert report.status == "suspect"
    assert "above 0.7" in report["weights"].evidence


def test_paths_that_pass_no_gaussian_are_an_error():
    narrow = gm.energy(lambda x: jnp.where(jnp.abs(x) > 0.5, jnp.nan, 0.01 * x**2), x=gm.Real())
    with pytest.raises(gm.SpecError, match=r"Pathfinder\(\)\): no path passed a Gaussian"):
        drawn(narrow, gm.Pathfinder())
    with pytest.raises(gm.SpecError, match=r"Pathfinder\(paths=0\)"):
        gm.Pathfinder(paths=0)


def test_another_seed_compiles_nothing_and_gives_other_draws(compilations):
    found = []
    for seed in (0, 0, 1):
        before = len(compilations)
        found.append(drawn(gamma(), gm.Pathfinder(), draws=20, seed=seed)["posterior"]["s"].values)
        compiled = len(compilations) - before
    assert compiled == 0
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[1] - found[2]).min() > 0
