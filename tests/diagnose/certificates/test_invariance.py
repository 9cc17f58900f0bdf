import numpy as np
import pytest

import gmdsl as gm
from gmdsl.diagnose.certificates.invariance import invariance
from gmdsl.diagnose.certificates.statistics import against_law, limit
from gmdsl.diagnose.certificates.targets import banana, skewed
from tests.diagnose import buggy_samplers
from tests.diagnose.certificates.small import small


def test_a_right_walk_keeps_the_law():
    row = invariance(small(buggy_samplers.Walk(), skewed))
    assert row.status == "passed"
    assert "a shift of" in row.sees
    assert "with power 0.9" in row.sees


@pytest.mark.parametrize("bug", ["NoHastings", "KeyKept"])
def test_a_wrong_kernel_is_seen_to_lose_the_law(bug):
    row = invariance(small(getattr(buggy_samplers, bug)(), skewed))
    assert row.status == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("bug", ["LoudNoise", "NoJacobian", "OneKeyForBoth", "StaleGradient"])
def test_other_wrong_kernels_are_seen_by_a_quarter_of_the_usual_chains(bug):
    assert invariance(small(getattr(buggy_samplers, bug)(), skewed)).status == "failed"


def test_an_undeclared_bias_fails_and_a_declared_one_is_left_to_its_own_check():
    assert invariance(small(buggy_samplers.Undeclared(), banana)).status == "failed"
    assert invariance(small(gm.Langevin(0.2), banana)).status == "not examined"


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_stated():
    """Over 40 seeds: the z-scores are standard normal, and at a level of a fifth at most a fifth fail (4 s.e.)."""
    scores = []
    for seed in range(40):
        (trial,) = small(buggy_samplers.Walk(), skewed, seed=seed).each
        scores.append(against_law(trial.means(trial.stationary), trial.law).z)
    scores = np.array(scores)
    assert 0.03 < np.mean(scores > 1.96) < 0.075  # 640 scores, some dependent
    assert np.sum(scores.max(1) > limit(scores.shape[1], rate=0.2)) <= 18
