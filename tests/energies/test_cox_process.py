import warnings

import jax
import numpy as np
import pytest

import gmdsl as gm
from tests.cases.scoring import load
from tests.energies.agreement import log_densities

CASE = load("logz", "lgcp_pines_6")
POINTS = CASE.arrays["points"]


@pytest.mark.usefixtures("x64")
def test_the_whitened_field_has_the_density_of_the_case():
    target = gm.energies.cox_process(POINTS, 6)
    found = log_densities(target.model, e=CASE.arrays["test_e"])
    np.testing.assert_allclose(found, CASE.arrays["test_logp_white"], rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_the_field_itself_has_the_same_density_but_for_the_jacobian():
    target, e = gm.energies.cox_process(POINTS, 6, whitened=False), CASE.arrays["test_e"]
    places = np.indices((6, 6)).reshape(2, -1).T
    covariance = 1.91 * np.exp(-np.linalg.norm(places[:, None] - places, axis=-1) * 33 / 6)
    factor = np.linalg.cholesky(covariance)
    f = e @ factor.T + np.log(126) - 1.91 / 2
    found = log_densities(target.model, f=f) + np.log(np.diag(factor)).sum()
    np.testing.assert_allclose(found, CASE.arrays["test_logp_white"], rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_one_cell_has_the_evidence_of_quadrature():
    target = gm.energies.cox_process(POINTS, 1, variance=0.3)
    e = np.linspace(-12.0, 12.0, 20_001)
    f = np.sqrt(0.3) * e + np.log(126) - 0.15
    truth = np.logaddexp.reduce(126 * f - np.exp(f) - 0.5 * e**2) + np.log(e[1] - e[0]) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(gm.log_normalizer(target.model).log_z, truth, rtol=1e-9)


def test_the_reference_is_the_prior_and_nothing_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        target = gm.energies.cox_process(POINTS, 8, mean=2.0, whitened=False)
    f = np.asarray(target.reference.sample(jax.random.key(0), 5000)["f"])
    assert abs(f.mean() - 2.0) < 4.5 * np.sqrt(f.mean(axis=1).var() / 5000)
    assert abs(f.var() - 1.91) < 0.1


def test_points_outside_of_the_square_are_refused():
    with pytest.raises(
        gm.SpecError, match=r"cox_process\(points=\.\.\.\): shape \(1, 2\) with values from 0\.5 to 1\.5"
    ):
        gm.energies.cox_process([[0.5, 1.5]], 4)
    with pytest.raises(gm.SpecError, match=r"cox_process\(length=0\)"):
        gm.energies.cox_process(POINTS, 4, length=0)
