import jax
import numpy as np
import pytest

import gmdsl as gm
from tests.energies.agreement import log_densities


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("temperature", [15.0, 100.0])
def test_its_constant_and_moments_are_those_of_another_rule(temperature):
    target = gm.energies.mueller_brown(temperature)
    places, weights = np.polynomial.legendre.leggauss(400)
    x = np.stack(np.meshgrid(-0.5 + 4.5 * places, 0.8 + 4.5 * places, indexing="ij"), -1).reshape(-1, 2)
    logs = log_densities(target.model, x=x) + np.log(np.outer(weights, weights).ravel() * 4.5**2)
    log_z = np.logaddexp.reduce(logs)
    p = np.exp(logs - log_z)
    np.testing.assert_allclose(target.log_z, log_z, atol=1e-9)
    np.testing.assert_allclose(target.mean["x"], p @ x, atol=1e-9)
    np.testing.assert_allclose(target.variance["x"], p @ x**2 - (p @ x) ** 2, atol=1e-9)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("place", "height"),
    [
        ((-0.558224, 1.441726), -146.69952),
        ((0.623499, 0.028038), -108.16672),
        ((-0.050011, 0.466694), -80.76782),
        ((-0.822002, 0.624313), -40.66484),
        ((0.212487, 0.292988), -72.24894),
    ],
)
def test_valleys_and_saddles_are_where_they_were_published(place, height):
    density = gm.compile(gm.energies.mueller_brown(1.0).model)
    np.testing.assert_allclose(-density.log_density({"x": place}), height, atol=1e-4)
    slope = density.score({"x": np.array(place)})["x"]
    np.testing.assert_allclose(slope, 0.0, atol=0.01)


def test_the_slope_at_draws_of_the_reference_is_that_of_double_precision():
    """Single precision has the slope to four digits, also far out, where it is huge."""
    target = gm.energies.mueller_brown()
    x = np.asarray(target.reference.sample(jax.random.key(0), 2000)["x"])
    slopes = lambda x: jax.vmap(lambda x: gm.compile(target.model).score({"x": x})["x"])(x)  # noqa: E731
    single = np.asarray(slopes(x))
    with jax.enable_x64(True):
        double = np.asarray(slopes(x.astype(np.float64)))
    assert double.dtype == np.float64
    np.testing.assert_allclose(single, double, rtol=1e-4, atol=0.02)


def test_a_temperature_too_low_for_the_grid_is_refused():
    with pytest.raises(gm.SpecError, match=r"mueller_brown\(temperature=0\.001\): the valleys are too narrow"):
        gm.energies.mueller_brown(0.001)
    with pytest.raises(gm.SpecError, match=r"mueller_brown\(temperature=0\): a finite number above 0"):
        gm.energies.mueller_brown(0)
