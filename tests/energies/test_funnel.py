import jax
import numpy as np
import pytest

import gmdsl as gm
from tests.cases.scoring import load
from tests.energies.agreement import log_densities

CASE = load("logz", "funnel_10")


@pytest.mark.usefixtures("x64")
def test_the_funnel_has_the_density_and_the_moments_of_the_case():
    target, x = gm.energies.funnel(10), CASE.arrays["test_x"]
    found = log_densities(target.model, v=x[:, 0], x=x[:, 1:])
    np.testing.assert_allclose(found, CASE.arrays["test_logp"], rtol=1e-9)
    spread = np.sqrt(np.append(target.variance["v"], target.variance["x"]))
    np.testing.assert_allclose(spread, CASE.meta["moments"]["sd"], rtol=1e-12)


@pytest.mark.parametrize("centred", [True, False])
def test_both_forms_have_one_law(centred):
    target, count = gm.energies.funnel(10, centred=centred), 20_000
    drawn = target.draw(jax.random.key(0), count)
    for level, place in CASE.meta["moments"]["x0_quantiles"].items():
        share = float(level)
        assert abs(np.mean(drawn["v"] < place) - share) < 4.5 * np.sqrt(share * (1 - share) / count)
    unit = np.asarray(drawn["x"]) * np.exp(-0.5 * np.asarray(drawn["v"]))[:, None]
    assert abs(np.mean(unit**2) - 1.0) < 4.5 * np.sqrt(2.0 / unit.size)
    assert set(target.mean) == set(drawn)


@pytest.mark.parametrize("centred", [True, False])
def test_the_reference_has_the_same_variables(centred):
    target = gm.energies.funnel(4, centred=centred)
    assert gm.temper(target.model, target.reference).target.free == target.model.free


def test_settings_outside_of_their_range_are_refused():
    with pytest.raises(gm.SpecError, match=r"funnel\(dim=1\): a whole number of at least 2"):
        gm.energies.funnel(1)
    with pytest.raises(gm.SpecError, match=r"funnel\(scale=-1\): a finite number above 0"):
        gm.energies.funnel(3, -1)
