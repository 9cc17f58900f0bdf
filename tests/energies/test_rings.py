import numpy as np
import pytest

import gmdsl as gm
from tests.cases.scoring import load
from tests.energies.agreement import assert_draws_agree, log_densities

CASE = load("logz", "quartic_ring_2d")


@pytest.mark.usefixtures("x64")
def test_the_ring_has_the_density_the_constant_and_the_moments_of_the_case():
    target = gm.energies.ring(2.0, 4.0, 0.8)
    found = log_densities(target.model, x=CASE.arrays["test_x"])
    np.testing.assert_allclose(found, CASE.arrays["test_logp"], rtol=1e-9)
    np.testing.assert_allclose(target.log_z, CASE.meta["log_Z"], rtol=1e-12)
    np.testing.assert_allclose(target.mean["x"], CASE.meta["moments"]["mean"], atol=1e-12)
    np.testing.assert_allclose(target.variance["x"], np.diag(CASE.meta["moments"]["cov"]), rtol=1e-11)


@pytest.mark.parametrize(
    "target",
    [
        gm.energies.ring(),
        gm.energies.ring(0.5, 1.0, -1.5),
        gm.energies.ring(3.0, 10.0, 0.0),
        gm.energies.rings([1.0, 2.5], 8.0, weights=[0.9, 0.1]),
    ],
    ids=["case", "wide, to the left", "level", "two"],
)
def test_draws_have_its_moments(target):
    assert_draws_agree(target, 50_000)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("tilt", [0.0, -1.5])
def test_a_ring_whose_ridge_covers_its_centre_has_the_truths_of_a_polar_grid(tilt):
    target = gm.energies.ring(0.5, 1.0, tilt)
    places, weights = np.polynomial.legendre.leggauss(200)
    r, angle = 5.0 * (1.0 + places), 2 * np.pi * np.arange(128) / 128
    x = (r[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], -1)).reshape(-1, 2)
    logs = log_densities(target.model, x=x) + np.log(np.repeat(5.0 * weights * r, 128) * 2 * np.pi / 128)
    log_z = np.logaddexp.reduce(logs)
    p = np.exp(logs - log_z)
    np.testing.assert_allclose(target.log_z, log_z, rtol=1e-10)
    np.testing.assert_allclose(target.mean["x"], p @ x, atol=1e-10)
    np.testing.assert_allclose(target.variance["x"], p @ x**2 - (p @ x) ** 2, rtol=1e-10)


@pytest.mark.usefixtures("x64")
def test_several_rings_add():
    target = gm.energies.rings([1.0, 3.0], 20.0, weights=[0.25, 0.75])
    one, other = (gm.energies.ring(radius, 20.0, 0.0) for radius in (1.0, 3.0))
    assert np.isclose(target.log_z, np.log(0.25 * np.exp(one.log_z) + 0.75 * np.exp(other.log_z)), rtol=1e-12)
    x = np.random.default_rng(0).normal(0.0, 2.0, (5, 2))
    parts = [log_densities(part.model, x=x) for part in (one, other)]
    sums = np.logaddexp(np.log(0.25) + parts[0], np.log(0.75) + parts[1])
    np.testing.assert_allclose(log_densities(target.model, x=x), sums, rtol=1e-10)


def test_weights_of_draws_of_the_reference_find_the_constant():
    target = gm.energies.ring()
    z = gm.log_z(gm.temper(target.model, target.reference), gm.ImportanceSampling(20_000), seed=0)
    assert z.standard_error < 0.03
    assert abs(z.log_z - target.log_z) < 4 * z.standard_error


@pytest.mark.slow
def test_annealing_from_the_reference_finds_the_constant():
    target = gm.energies.ring()
    path = gm.temper(target.model, target.reference)
    z = gm.log_z(path, gm.AIS(gm.MALA(), particles=500, temperatures=50), seed=0)
    assert z.standard_error < 0.1
    assert abs(z.log_z - target.log_z) < 4 * z.standard_error


def test_rings_without_a_radius_or_width_are_refused():
    with pytest.raises(gm.SpecError, match=r"ring\(radius=0\): a finite number above 0"):
        gm.energies.ring(0)
    with pytest.raises(gm.SpecError, match=r"rings\(radii=\[1\.0, -2\.0\]\): every radius is above 0"):
        gm.energies.rings([1.0, -2.0])
    with pytest.raises(gm.SpecError, match=r"rings\(sharpness=-1\)"):
        gm.energies.rings([1.0], -1)
