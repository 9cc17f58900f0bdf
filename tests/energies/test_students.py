import jax
import numpy as np
import pytest
from scipy import stats

import gmdsl as gm
from tests.energies.agreement import log_densities

CENTRES = np.array([[-3.0, 1.0], [2.0, 4.0], [0.0, -5.0]])
SCALES, WEIGHTS = np.array([0.5, 1.0, 2.0]), np.array([0.2, 0.5, 0.3])


@pytest.mark.usefixtures("x64")
def test_its_density_is_the_sum_of_products_of_student_densities():
    target = gm.energies.students(CENTRES, SCALES, WEIGHTS, df=2.5)
    x = np.random.default_rng(0).normal(0.0, 5.0, (6, 2))
    parts = stats.t.pdf(x[:, None], 2.5, CENTRES, SCALES[:, None]).prod(-1)
    np.testing.assert_allclose(log_densities(target.model, x=x), np.log(parts @ WEIGHTS), rtol=1e-10)


def test_draws_have_its_distribution_functions():
    target = gm.energies.students(CENTRES, SCALES, WEIGHTS, df=2.5)
    drawn = np.asarray(target.draw(jax.random.key(0), 20_000)["x"], float)
    for j in range(2):
        found = stats.kstest(drawn[:, j], lambda x, j=j: stats.t.cdf(x[:, None], 2.5, CENTRES[:, j], SCALES) @ WEIGHTS)
        assert found.pvalue > 5e-5  # false alarms: 1e-4 for both


def test_moments_are_stated_where_they_exist():
    full, first, none = (gm.energies.students(CENTRES, SCALES, WEIGHTS, df=df) for df in (3.0, 2.0, 1.0))
    np.testing.assert_allclose(full.mean["x"], WEIGHTS @ CENTRES)
    spread = WEIGHTS @ (3.0 * SCALES[:, None] ** 2 + CENTRES**2) - (WEIGHTS @ CENTRES) ** 2
    np.testing.assert_allclose(full.variance["x"], spread)
    assert first.mean is not None
    assert first.variance is None
    assert none.mean is None


def test_the_reference_has_tails_as_heavy():
    target = gm.energies.students([[0.0], [3.0]], df=1.5)
    far = np.array([[1e4], [1e6], [-1e8]])
    gap = log_densities(target.model, x=far) - log_densities(target.reference, x=far)
    assert np.ptp(gap) < 0.01


def test_no_degrees_of_freedom_are_refused():
    with pytest.raises(gm.SpecError, match=r"students\(df=0\): a finite number above 0"):
        gm.energies.students([[0.0]], df=0)
