import pytest

import gmdsl as gm
from gmdsl.diagnose.certificates.convergence import convergence
from gmdsl.diagnose.certificates.invariance import invariance
from gmdsl.diagnose.certificates.targets import banana, touching
from tests.diagnose.buggy_samplers import OneCoordinateForgotten, ResonantHMC
from tests.diagnose.certificates.small import small


def test_a_walk_forgets_a_far_start():
    row = convergence(small(gm.RandomWalk(), banana))
    assert row.status == "passed"
    assert "within" in row.evidence


def test_a_trajectory_of_half_a_period_keeps_the_law_and_never_reaches_it():
    trials = small(ResonantHMC(), banana)
    assert invariance(trials).status == "passed"
    row = convergence(trials)
    assert row.status == "failed"
    assert "spread of x[0]" in row.evidence


@pytest.mark.slow
def test_a_coordinate_that_stays_is_not_forgotten():
    assert convergence(small(OneCoordinateForgotten(), banana)).status == "failed"


@pytest.mark.slow
def test_a_biased_sampler_is_compared_with_itself():
    assert convergence(small(gm.Langevin(0.3), touching)).status == "passed"
    assert convergence(small(gm.Langevin(1e-6), touching)).status == "failed"
