import numpy as np
import pytest

import gmdsl as gm

from ...cases import models
from ...cases.scoring import load, quantities
from .targets import LOG_Z, MEAN, PRECISION, A, B, drawn, gamma, gaussian


@pytest.mark.usefixtures("x64")
def test_a_correlated_gaussian_is_recovered_with_its_constant():
    """At the optimum the gradient has no noise, so that the numbers are exact; the bound is log Z there."""
    tree = drawn(gaussian(), gm.FullRank(updates=4000), draws=500)
    group = tree["approximation"]
    covariance = np.linalg.inv(PRECISION)
    unit = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((group["mean"] - MEAN) / unit, 0.0, atol=1e-3)
    np.testing.assert_allclose(group["covariance"] / np.outer(unit, unit), covariance / np.outer(unit, unit), atol=2e-3)
    assert float(group["elbo"][-1]) == pytest.approx(LOG_Z, abs=1e-3)
    assert float(group["elbo"][0]) < LOG_Z - 0.3
    assert tree.attrs["log_z"] == pytest.approx(LOG_Z, abs=1e-3)
    assert tree.attrs["weight_ess"] > 499


@pytest.mark.usefixtures("x64")
def test_a_skew_target_gets_the_optimum_of_the_bound_and_not_the_mode():
    """For u = log s of Gamma(a, b) the bound is highest at variance 1 / a and mean log(a / b) - 1 / (2 a)."""
    group = drawn(gamma(), gm.FullRank(estimate=50), draws=10)["approximation"]
    assert float(group["mean"][0]) == pytest.approx(np.log(A / B) - 1 / (2 * A), abs=0.01)
    assert float(group["covariance"][0, 0]) == pytest.approx(1 / A, rel=0.04)


def test_eight_schools_is_met_better_than_by_its_mode():
    """The non-centred posterior: mu within 0.2 and tau within 0.3 standard deviations of the exact means, where the
    mode of the unconstrained density has tau near 30, eight standard deviations away."""
    case = load("posterior", "pdb_eight_schools_noncentered")
    tree = drawn(models.pdb_eight_schools_noncentered(case.meta["data"]), gm.FullRank(), draws=4000)
    truth = case.truth
    draws = quantities(tree["posterior"], truth)
    for quantity, limit in {"mu": 0.2, "tau": 0.3, "theta[1]": 0.3}.items():
        mean, std, *_ = truth[quantity]
        assert abs(draws[quantity].mean() - mean) < limit * std, quantity
