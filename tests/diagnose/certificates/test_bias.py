import pytest

import gmdsl as gm
from gmdsl.diagnose.certificates.bias import bias
from gmdsl.diagnose.certificates.targets import touching
from tests.diagnose.buggy_samplers import HotLangevin, Walk
from tests.diagnose.certificates.small import small


class DeclaredWalk(gm.Sampler):
    """Exact, though it declares a bias, and without a step to halve."""

    bias = "of unknown order"

    def step(self, key, target, x):
        return Walk().step(key, target, x)


@pytest.mark.parametrize("step", [pytest.param(0.01, marks=pytest.mark.slow), 0.2])
def test_the_bias_of_langevin_dynamics_halves_with_the_step(step):
    row = bias(small(gm.Langevin(step), touching))
    assert row.status == "passed"
    ratio = float(row.evidence.rsplit(" ", 1)[1])
    assert 0.35 < ratio < 0.65


def test_noise_that_is_too_large_leaves_a_bias_that_does_not_shrink():
    row = bias(small(HotLangevin(), touching))
    assert row.status == "failed"


def test_an_exact_sampler_and_one_without_a_step_are_not_examined():
    assert bias(small(Walk(), touching)).evidence == "no bias is declared: the law must be exact"
    assert bias(small(DeclaredWalk(), touching)).evidence == "there is no field step_size to halve"
