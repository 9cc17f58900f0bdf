import numpy as np
import pytest

import gmdsl as gm
from tests.cases.scoring import load
from tests.energies.agreement import assert_draws_agree, log_densities

CASE = load("logz", "banana_2")


@pytest.mark.usefixtures("x64")
def test_the_banana_has_the_density_and_the_moments_of_the_case():
    target, points = gm.energies.banana(), CASE.arrays["test_x"]
    found = log_densities(target.model, x=points[:, 0], y=points[:, 1])
    np.testing.assert_allclose(found, CASE.arrays["test_logp"], rtol=1e-9)
    spread = np.sqrt([target.variance["x"], target.variance["y"]])
    np.testing.assert_allclose(spread, CASE.meta["moments"]["sd"], rtol=1e-12)


def test_draws_have_its_moments_in_more_dimensions_and_with_another_bend():
    target = gm.energies.banana(4, bend=-0.2, scale=2.0)
    assert target.model.spaces["z"] == gm.Real(2)
    assert_draws_agree(target)


def test_the_reference_has_the_same_variables():
    target = gm.energies.banana(3)
    assert gm.temper(target.model, target.reference).target.free == ("x", "y", "z")


def test_one_dimension_is_refused():
    with pytest.raises(gm.SpecError, match=r"banana\(dim=1\): a whole number of at least 2"):
        gm.energies.banana(1)
