"""The judge is judged: it accepts correct draws and rejects small, known faults."""

import numpy as np
import pytest
import xarray

from tests.cases.scoring import quantities, score_moments, threshold

NAMES = ("a", "b", "c")
TRUTH = dict.fromkeys(NAMES, (1.0, 2.0, 0.0, 0.0))


def correct_draws():
    """Three independent quantities with mean 1 and sd 2; 4 chains of 1,500 draws."""
    noise = np.random.default_rng(0).standard_normal((3, 4, 1500))
    return {name: 1.0 + 2.0 * noise[i] for i, name in enumerate(NAMES)}


def with_nan(x):
    x = x.copy()
    x[0, 0] = np.nan
    return x


def with_stuck_chain(x):
    x = x.copy()
    x[0] = 1.0
    return x


FAULTS = {
    "mean off by a tenth of the sd": lambda x: x + 0.2,
    "sd too small by a tenth": lambda x: 1.0 + 0.9 * (x - 1.0),
    "one NaN": with_nan,
    "a constant": np.ones_like,
    "one chain stuck at the mean": with_stuck_chain,
    "too few draws": lambda x: x[:, :500],
}


def test_correct_draws_pass():
    score = score_moments(TRUTH, correct_draws())
    assert score.passed, score
    assert set(score.z) == {*NAMES, *(f"{name} (scale)" for name in NAMES)}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_one_quantity_is_rejected(fault):
    draws = correct_draws()
    assert not score_moments(TRUTH, {**draws, "b": FAULTS[fault](draws["b"])}).passed


def test_a_quantity_that_was_not_drawn_is_rejected():
    draws = correct_draws()
    del draws["c"]
    assert not score_moments(TRUTH, draws).passed


def test_an_uncertain_truth_forgives_what_it_cannot_tell():
    draws = {name: x + 0.2 for name, x in correct_draws().items()}
    assert score_moments(dict.fromkeys(NAMES, (1.0, 2.0, 0.2, 0.2)), draws).passed


def test_the_threshold_keeps_the_false_alarm_rate_for_any_number_of_quantities():
    assert threshold(1) == pytest.approx(3.8906, abs=1e-4)  # 1e-4 of a normal lies beyond it
    assert threshold(10) == pytest.approx(4.4172, abs=1e-4)  # 1e-5


def test_elements_of_vectors_go_by_their_number_from_one():
    values = np.arange(24.0).reshape(2, 3, 4)
    theta = xarray.DataArray(values, dims=("chain", "draw", "school"))
    posterior = xarray.Dataset({"theta": theta, "mu": theta[..., 0]})
    found = quantities(posterior, ["theta[2]", "mu", "absent"])
    assert list(found) == ["theta[2]", "mu"]
    np.testing.assert_array_equal(found["theta[2]"], values[..., 1])
