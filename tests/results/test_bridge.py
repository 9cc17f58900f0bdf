import numpy as np
import pytest
from scipy import stats

from gmdsl.results.bridge import bridge, error_of_chains


def differences(rng, n0, n1, shift=1.5, scale=0.7, log_z=2.0):
    """Log-density of N(shift, scale^2) times e^2, less that of N(0, 1), at draws of both."""

    def gap(x):
        return stats.norm.logpdf(x, shift, scale) + log_z - stats.norm.logpdf(x)

    return gap(rng.normal(size=n0)), gap(rng.normal(shift, scale, size=n1))


@pytest.mark.parametrize(("n0", "n1"), [(2000, 2000), (4000, 1000), (500, 4000)])
def test_the_ratio_and_its_error_over_two_hundred_runs(n0, n1):
    """At a coverage of 0.95, below 175 of 200 has a chance of 1e-4."""
    rng = np.random.default_rng(0)
    gaps, errors = [], []
    for _ in range(200):
        found = bridge(*differences(rng, n0, n1))
        gaps.append(found.log_ratio - 2.0)
        errors.append(np.hypot(found.below.std() / np.sqrt(n0), found.above.std() / np.sqrt(n1)))
    covered = np.abs(gaps) < 2 * np.array(errors)
    assert 175 <= covered.sum() <= 200
    assert abs(np.mean(gaps)) < 4.5 * np.std(gaps) / np.sqrt(200)


def test_equal_densities_have_the_ratio_of_their_constants():
    found = bridge(np.full(10, -3.0), np.full(10, -3.0))
    np.testing.assert_allclose(found.log_ratio, -3.0, atol=1e-9)
    np.testing.assert_allclose(found.overlap, 0.5, rtol=1e-9)


def test_nothing_in_common_is_seen():
    apart = bridge(np.full(100, -80.0), np.full(100, 80.0))
    assert apart.overlap < 1e-10
    assert np.isnan(bridge(np.full(5, -np.inf), np.full(5, -np.inf)).log_ratio)


def test_the_error_of_correlated_values_is_wider():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(4, 4000))
    chain = np.zeros_like(noise)
    for t in range(1, 4000):
        chain[:, t] = 0.9 * chain[:, t - 1] + noise[:, t]
    error, size = error_of_chains(chain)
    exact = 16000 * (1 - 0.9) / (1 + 0.9)
    assert 0.6 * exact < size < 1.6 * exact
    assert 0.7 < error / (chain.std() / np.sqrt(exact)) < 1.4
    assert error_of_chains(np.ones((2, 10))) == (0.0, 20.0)
