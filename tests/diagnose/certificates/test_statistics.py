import numpy as np
import pytest

from gmdsl.diagnose.certificates.statistics import Comparison, against_law, between, law_of, limit, seen, smallest


@pytest.fixture(scope="module")
def law():
    x = np.random.default_rng(0).gamma(2.0, size=(400_000, 2))
    return law_of(x, -x.sum(1))


def test_the_law_of_exact_draws_has_their_moments_tails_and_errors(law):
    np.testing.assert_allclose(law.location, 2.0, atol=0.01)
    np.testing.assert_allclose(law.scale, np.sqrt(2.0), atol=0.01)
    names = law.names
    assert len(names) == len(law.mean) == 2 + 2 + 2 + 2 + 1 + 1
    np.testing.assert_allclose(law.mean[names.index("lower tail of x[1]")], 0.05, atol=1e-3)
    np.testing.assert_allclose(law.mean[names.index("upper tail of x[0]")], 0.05, atol=1e-3)
    np.testing.assert_allclose(law.mean[names.index("dependence of x[0] and x[1]")], law.functions(
        np.random.default_rng(1).gamma(2.0, size=(100_000, 2)), np.zeros(100_000))[:, 8].mean(), atol=0.01)  # fmt: skip
    np.testing.assert_allclose(law.variance[0], 1 / 400_000, rtol=1e-6)


def test_the_scores_of_chains_with_the_law_are_standard_normal(law):
    rng = np.random.default_rng(2)
    z = []
    for _ in range(300):
        x = rng.gamma(2.0, size=(400, 2))
        found = against_law(law.functions(x, -x.sum(1)), law)
        z.append(found.error / found.standard_error)
    assert 0.93 < np.std(z) < 1.07  # 3,000 scores in ten dependent columns: the sd of this sd is 0.02


def test_the_smallest_error_that_is_promised_is_seen_nine_times_out_of_ten(law):
    rng, caught, runs = np.random.default_rng(3), 0, 400
    standard_error = np.sqrt(1 / 500 + 1 / 400_000)
    tests = len(law.names)
    shift = seen(standard_error, tests) * law.scale[0]
    for _ in range(runs):
        x = rng.gamma(2.0, size=(500, 2)) + np.array([shift, 0.0])
        found = against_law(law.functions(x, -x.sum(1)), law)
        caught += found.z[0] > limit(tests)
    assert abs(caught / runs - 0.9) < 4 * np.sqrt(0.09 / runs)


def test_two_groups_are_compared_with_both_their_spreads():
    first, second = np.array([[0.0], [2.0]]), np.array([[5.0], [5.0], [8.0]])
    found = between(first, second, ["f"])
    assert found.error[0] == -5.0
    np.testing.assert_allclose(found.standard_error[0], np.sqrt(2.0 / 2 + 3.0 / 3))


def test_what_is_not_a_number_is_infinitely_far():
    found = Comparison(["a", "b"], np.array([0.1, np.nan]), np.array([0.1, 0.1]))
    assert found.z[1] == np.inf
    assert found.worst == 1


def test_infinite_positions_fail_without_a_warning(law):
    x = np.zeros((10, 2))
    x[0] = np.inf
    found = against_law(law.functions(x, np.full(10, -np.inf)), law)
    assert found.z.max() == np.inf


def test_limits_share_the_rate_among_the_tests():
    assert limit(1, rate=0.05) == pytest.approx(1.959964, rel=1e-6)
    assert limit(10, rate=0.05) == pytest.approx(2.807034, rel=1e-6)


def test_the_promise_is_that_of_the_worst_coordinate(law):
    error = np.full(len(law.names), 0.01)
    error[1] = 0.02
    text = smallest([Comparison(law.names, np.zeros(len(error)), error)], [law])
    assert f"a shift of {seen(0.02, len(error)):.2g} sd" in text
