import numpy as np
import pytest

from gmdsl.energies.truths.kaufman import log_z_of_torus

CRITICAL = 0.5 * np.log1p(np.sqrt(2.0))


@pytest.mark.parametrize(
    ("size", "log_z"),
    [
        (8, (47.010147, 60.141781, 66.344582)),
        (16, (188.039888, 238.642257, 263.296210)),
        (32, (752.159552, 952.648080, 1051.104988)),
    ],
)
def test_square_tori_have_their_constants_above_at_and_below_the_critical_temperature(size, log_z):
    found = [log_z_of_torus(size, size, coupling) for coupling in (0.2, CRITICAL, 0.5)]
    np.testing.assert_allclose(found, log_z, atol=1e-6)


def test_a_ring_of_spins_is_known_from_its_two_eigenvalues():
    # a torus one spin wide: a ring, and a bond of every spin to itself
    found, k = log_z_of_torus(7, 1, 0.3), 0.3
    np.testing.assert_allclose(found, np.log((2 * np.cosh(k)) ** 7 + (2 * np.sinh(k)) ** 7) + 7 * k, rtol=1e-13)


def test_the_sides_may_be_exchanged_and_extremes_stay_finite():
    np.testing.assert_allclose(log_z_of_torus(5, 12, 0.44), log_z_of_torus(12, 5, 0.44), rtol=1e-13)
    np.testing.assert_allclose(log_z_of_torus(4, 4, 1e-6), 16 * np.log(2.0), rtol=1e-10)
    np.testing.assert_allclose(log_z_of_torus(300, 300, 3.0), 2 * 300**2 * 3.0 + np.log(2.0), rtol=1e-9)
