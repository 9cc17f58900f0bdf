import numpy as np
import pytest

from gmdsl.results.estimate import LogZ, error_of_mean, estimate
from gmdsl.results.reliability import Verdict


def test_the_estimate_is_the_log_mean_weight_with_a_jackknife_error():
    weight = np.random.default_rng(0).gamma(2.0, 1.0, 10_000)
    found = estimate(np.log(weight), "AIS")
    np.testing.assert_allclose(found.log_z, np.log(weight.mean()), rtol=1e-12)
    np.testing.assert_allclose(found.ess, weight.sum() ** 2 / (weight**2).sum(), rtol=1e-12)
    assert (found.method, found.particles, found.curve) == ("AIS", 10_000, {})


def test_two_standard_errors_cover_the_truth_of_skewed_weights_and_are_not_much_too_wide():
    rng = np.random.default_rng(1)
    found = [estimate(rng.normal(-0.5, 1.0, 400), "") for _ in range(400)]
    inside = np.mean([abs(f.log_z) <= 2.0 * f.standard_error for f in found])
    assert 0.94 - 3.0 * np.sqrt(0.06 * 0.94 / 400) < inside
    spread = np.sqrt(np.mean([f.log_z**2 for f in found]))
    assert 1.0 < np.median([f.standard_error for f in found]) / spread < 1.5


@pytest.mark.parametrize("size", [40, 1000])
def test_the_error_of_a_mean_covers_skewed_values(size):
    rng = np.random.default_rng(3)
    values = rng.exponential(size=(size, 2000))
    inside = np.mean(np.abs(values.mean(axis=0) - 1.0) <= 2.0 * error_of_mean(values))
    plain = np.mean(np.abs(values.mean(axis=0) - 1.0) <= 2.0 * values.std(axis=0, ddof=1) / np.sqrt(size))
    assert inside >= 0.955 - 3.0 * np.sqrt(0.045 * 0.955 / 2000)
    assert plain < inside


def test_the_error_of_a_mean_of_a_symmetric_law_is_the_usual_one():
    values = np.linspace(-1.0, 1.0, 101)
    np.testing.assert_allclose(error_of_mean(values), values.std(ddof=1) / np.sqrt(101), rtol=1e-9)
    np.testing.assert_array_equal(error_of_mean(np.ones((5, 2))), 0.0)


def test_a_constant_changes_the_estimate_by_itself_however_large():
    log_weight = np.random.default_rng(2).normal(size=500)
    here = estimate(log_weight, "")
    for shift in (-5000.0, 5000.0):
        there = estimate(log_weight + shift, "")
        np.testing.assert_allclose(there.log_z, here.log_z + shift, rtol=1e-12)
        np.testing.assert_allclose([there.ess, there.standard_error], [here.ess, here.standard_error], rtol=1e-9)


def test_no_weight_at_all_is_minus_infinity_and_failed_without_nan():
    found = estimate(np.full(10, -np.inf), "")
    assert found.log_z == -np.inf
    assert found.standard_error == np.inf
    assert found.ess == 0.0
    assert found.status == "failed"


def test_few_particles_that_count_are_suspect():
    assert estimate(np.array([0.0] + [-50.0] * 99), "").status == "suspect"
    assert estimate(np.zeros(100), "").status == "ok"
    assert LogZ(np.nan, 1.0, 1.0, particles=1).status == "failed"


def test_one_draw_gives_an_estimate():
    found = estimate(np.array([0.5]), "")
    assert found.log_z == pytest.approx(0.5)


def test_the_error_of_few_groups_is_that_of_student():
    """Two of it hold the truth in 95 % of the cases, though eight weights give a poor estimate of their spread."""
    rng = np.random.default_rng(4)
    found = [estimate(rng.normal(-0.02, 0.2, 8), "") for _ in range(2000)]
    inside = np.mean([abs(f.log_z) < 2.0 * f.standard_error for f in found])
    assert 0.94 < inside < 0.98


def test_it_is_printed_with_its_verdict_and_its_bounds():
    found = LogZ(1.23456, 0.1, 50.0, method="AIS(...)", judged=Verdict("ok", "fine"), lower=1.0, upper=1.5)
    assert repr(found) == "LogZ(1.235 +- 0.100, ess=50, ok, between 1.000 and 1.500) by AIS(...)"
    doubtful = LogZ(1.0, 0.1, 50.0, judged=Verdict("suspect", "two islands disagree"))
    assert repr(doubtful) == "LogZ(1.000 +- 0.100, ess=50, suspect: two islands disagree)"
