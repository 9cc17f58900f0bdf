import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from tests.cases.scoring import load
from tests.energies.agreement import assert_draws_agree, log_densities

CASE = load("logz", "gmm40_fab_torch")


@pytest.mark.usefixtures("x64")
def test_forty_gaussians_have_the_density_and_the_moments_of_the_case():
    target = gm.energies.gmm40()
    found = log_densities(target.model, x=CASE.arrays["test_x"])
    np.testing.assert_allclose(found, CASE.arrays["test_logp"], rtol=1e-9)
    np.testing.assert_allclose(target.mean["x"], CASE.meta["moments"]["mean"], rtol=1e-12)
    np.testing.assert_allclose(target.variance["x"], np.diag(CASE.meta["moments"]["cov"]), rtol=1e-12)
    assert target.log_z == 0.0


def test_draws_of_forty_gaussians_have_their_moments():
    assert_draws_agree(gm.energies.gmm40())


@pytest.mark.usefixtures("x64")
def test_weights_and_scales_belong_to_their_centres():
    target = gm.energies.gaussians([[-1.0], [2.0]], scale=[0.5, 1.5], weights=[0.3, 0.7])
    mean = gm.expectation(target.model, lambda v: v["x"], gm.Quadrature())
    np.testing.assert_allclose(mean.value, target.mean["x"], rtol=1e-9)
    square = gm.expectation(target.model, lambda v: v["x"] ** 2, gm.Quadrature())
    np.testing.assert_allclose(square.value - target.mean["x"] ** 2, target.variance["x"], rtol=1e-9)


@pytest.mark.usefixtures("x64")
def test_its_score_under_noise_is_exact():
    noised = gm.noise(gm.energies.gaussians([[-2.0], [1.0]], 0.5).model, gm.VP())
    x = jnp.array([0.3])
    slope = jax.grad(lambda x: noised.log_density(x, 0.4))(x)
    np.testing.assert_allclose(noised.score(x, 0.4), slope, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"centres": [1.0, 2.0]}, r"gaussians\(centres=\.\.\.\): shape \(2,\)"),
        ({"centres": [[1.0], [2.0]], "scale": [1.0, 0.0]}, r"gaussians\(scale=.*one number above 0"),
        ({"centres": [[1.0], [2.0]], "weights": [0.5, 0.6]}, r"gaussians\(weights=.*add to 1"),
    ],
)
def test_tables_that_do_not_fit_are_refused(arguments, words):
    with pytest.raises(gm.SpecError, match=words):
        gm.energies.gaussians(**arguments)
