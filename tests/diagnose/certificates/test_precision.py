import jax
import pytest

import gmdsl as gm
from gmdsl.diagnose.certificates.precision import precision
from gmdsl.diagnose.certificates.targets import skewed
from tests.diagnose.buggy_samplers import Rounded, Walk
from tests.diagnose.certificates.small import small


def test_a_walk_has_one_law_in_both_precisions_and_the_session_keeps_its_own():
    before = jax.config.jax_enable_x64
    row = precision(small(Walk(), skewed))
    assert row.status == "passed"
    assert "a shift of" in row.sees
    assert jax.config.jax_enable_x64 == before


@pytest.mark.slow
def test_coordinates_that_are_rounded_in_single_precision_are_seen():
    assert precision(small(Rounded(), skewed)).status == "failed"


@pytest.mark.slow
def test_a_bias_of_its_own_does_not_count_against_a_sampler():
    assert precision(small(gm.Langevin(0.2), skewed)).status == "passed"
