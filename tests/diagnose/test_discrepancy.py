"""Discrepancies against closed forms, and the level and power of the permutation test."""

import numpy as np
import pytest

import gmdsl as gm


def test_the_squared_discrepancy_is_the_mean_over_pairs():
    rng = np.random.default_rng(0)
    x, y, width = rng.normal(size=(5, 2)), rng.normal(size=(4, 2)) + 1.0, 0.7
    k = lambda a, b: np.exp(-0.5 * np.sum((a - b) ** 2) / width**2)  # noqa: E731
    within = np.mean([k(x[i], x[j]) for i in range(5) for j in range(5) if i != j])
    beyond = np.mean([k(y[i], y[j]) for i in range(4) for j in range(4) if i != j])
    across = np.mean([k(a, b) for a in x for b in y])
    found = gm.mmd(x, y, bandwidth=width, permutations=9)
    np.testing.assert_allclose(found.squared, within + beyond - 2 * across, rtol=1e-12)
    assert found.bandwidth == width


def test_gaussians_have_the_discrepancy_of_the_closed_form():
    """E k for two Gaussians of unit variance in one dimension, kernel width 1; 4.5 standard errors of 30 repeats."""
    rng, shift = np.random.default_rng(1), 1.5
    exact = 2 / np.sqrt(3) * (1 - np.exp(-(shift**2) / 6))
    values = [
        gm.mmd(rng.normal(size=200), rng.normal(size=200) + shift, bandwidth=1.0, permutations=1).squared
        for _ in range(30)
    ]
    assert abs(np.mean(values) - exact) < 4.5 * np.std(values) / np.sqrt(30)


def test_p_values_are_uniform_when_the_laws_agree_and_small_when_not():
    """Of 200 tests at the level 0.1, between 6 and 36 reject: false alarms 1 in 10^4."""
    rng = np.random.default_rng(2)
    same = [
        gm.mmd(rng.normal(size=(40, 2)), rng.normal(size=(50, 2)), permutations=99, seed=i).p_value for i in range(200)
    ]
    assert 6 <= sum(p <= 0.1 for p in same) <= 36
    wider = gm.mmd(rng.normal(size=(200, 2)), 1.7 * rng.normal(size=(200, 2)), permutations=199)
    assert wider.p_value == 1 / 200


def test_sliced_wasserstein_of_a_shift_and_a_scale():
    x = np.random.default_rng(3).normal(size=(4000, 3))
    shift = np.array([3.0, 0.0, 0.0])
    np.testing.assert_allclose(gm.sliced_wasserstein(x, x + shift, projections=4000), np.sqrt(9 / 3), rtol=0.03)
    np.testing.assert_allclose(gm.sliced_wasserstein(x, 2 * x), np.sqrt(np.mean(x**2)), rtol=0.03)
    assert gm.sliced_wasserstein(x, x) == 0.0


def test_images_are_flattened_and_sizes_may_differ():
    x = np.random.default_rng(4).normal(size=(300, 2, 2))
    assert gm.sliced_wasserstein(x, x[:100]) < 0.4
    assert gm.mmd(x, x[:100], permutations=19).p_value > 0.05


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(gm.SpecError, match=r"shapes \(5, 2\) and \(5, 3\)"):
        gm.mmd(np.zeros((5, 2)), np.zeros((5, 3)))
    with pytest.raises(gm.SpecError, match="two or more rows"):
        gm.sliced_wasserstein(np.zeros((1, 2)), np.zeros((5, 2)))
    with pytest.raises(gm.SpecError, match="are all draws the same"):
        gm.mmd(np.zeros((5, 2)), np.zeros((5, 2)))
