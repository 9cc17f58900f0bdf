import numpy as np
import pytest

from gmdsl.inference.interpolation import Geometric, Interpolation
from gmdsl.results.reliability import Verdict
from gmdsl.results.thermodynamic import integral, thermodynamic

BETAS = np.array([0.0, 0.1, 0.35, 1.0])


def test_cubic_curves_are_integrated_exactly_and_the_trapezoid_does_not():
    found = integral(BETAS, 2.0 - BETAS + 4.0 * BETAS**3, -1.0 + 12.0 * BETAS**2)
    np.testing.assert_allclose(found.curve, 2.0 * BETAS - 0.5 * BETAS**2 + BETAS**4, atol=1e-14)
    assert abs(found.plain - 2.5) > 0.2


def with_moments(mean, variance, draws=400, chains=2):
    """Draws whose mean and variance at each rung are exactly these, in random order."""
    signs = np.repeat([-1.0, 1.0], draws // 2)
    rng = np.random.default_rng(0)
    shuffled = np.stack([[rng.permutation(signs) for _ in BETAS] for _ in range(chains)]).transpose(0, 2, 1)
    return mean + np.sqrt(variance) * shuffled


def test_slopes_come_from_the_variances_of_the_draws(x64):
    """The mean rises as its variance says: 1 + b + b^2 + b^3 with slope 1 + 2 b + 3 b^2."""
    ratio = with_moments(1.0 + BETAS + BETAS**2 + BETAS**3, 1.0 + 2.0 * BETAS + 3.0 * BETAS**2)
    found = thermodynamic(BETAS, ratio, Geometric(), "a test")
    exact = 1.0 + 1 / 2 + 1 / 3 + 1 / 4
    assert found.log_z == pytest.approx(exact, abs=1e-12)
    coarse = np.trapezoid(1.0 + BETAS + BETAS**2 + BETAS**3, BETAS) - exact
    assert found.standard_error > coarse > 0.05
    assert found.status == "ok"
    np.testing.assert_allclose(found.curve["slope"], 1.0 + 2.0 * BETAS + 3.0 * BETAS**2, rtol=1e-12)


class Bent(Interpolation):
    """The log-density at beta is that of the reference plus the square of beta times the log-ratio."""

    def log_weight(self, log_ratio, beta):
        return beta**2 * log_ratio


def test_other_paths_are_integrated_by_their_own_derivative(x64):
    """U = 2 b r; with r of mean c and variance 0 the mean of U is 2 b c and its slope 2 c, all from the path."""
    ratio = np.full((2, 10, len(BETAS)), 1.7)
    found = thermodynamic(BETAS, ratio, Bent(), "a test")
    assert found.log_z == pytest.approx(1.7, abs=1e-12)
    np.testing.assert_allclose(found.curve["mean"], 2.0 * BETAS * 1.7, rtol=1e-12)
    np.testing.assert_allclose(found.curve["slope"], 3.4, rtol=1e-12)


def test_the_error_covers_correlated_draws_of_gaussians():
    """Standard deviation of 60 estimates over the error stated for the draws: within 30 % (chi-square, p < 1e-3)."""
    rng = np.random.default_rng(1)
    fine = np.linspace(0.0, 1.0, 6)
    ends, stated = [], []
    for _ in range(60):
        noise = rng.normal(size=(4, 600, 6))
        for t in range(1, 600):
            noise[:, t] = 0.8 * noise[:, t - 1] + 0.6 * noise[:, t]
        found = thermodynamic(fine, fine + noise, Geometric(), "a test")  # mean b, variance 1: no correction
        ends.append(found.log_z)
        stated.append(found.standard_error)
    assert abs(np.mean(ends) - 0.5) < 4.5 * np.std(ends) / np.sqrt(60)
    assert 0.7 < np.std(ends) / np.mean(stated) < 1.3


def test_what_is_in_doubt_is_said():
    steep = with_moments(1.0 + 200.0 * BETAS, 1.0 + 100.0 * BETAS)
    assert thermodynamic(BETAS, steep, Geometric(), "a test").status == "suspect"
    calm = with_moments(BETAS, np.full(4, 1.0))
    lost = Verdict("suspect", "0 round trips", "Take more temperatures.")
    assert thermodynamic(BETAS, calm, Geometric(), "a test").status == "ok"
    assert "0 round trips" in thermodynamic(BETAS, calm, Geometric(), "a test", lost).verdict.evidence
    assert thermodynamic(BETAS, calm[:, :20], Geometric(), "a test").status == "suspect"
    calm[0, 3, 0] = -np.inf
    nothing = thermodynamic(BETAS, calm, Geometric(), "a test")
    assert nothing.status == "failed"
    assert nothing.standard_error == np.inf
    assert np.isnan(nothing.log_z)
