import jax
import numpy as np
import pytest

import gmdsl as gm
from tests.cases.scoring import load
from tests.energies.agreement import assert_draws_agree, log_densities


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("name", "dim"), [("many_well_32", 32), ("double_well_2d", 2)])
def test_wells_have_the_density_and_the_constant_of_the_case(name, dim):
    case, target = load("logz", name), gm.energies.many_well(dim)
    found = log_densities(target.model, x=case.arrays["test_x"])
    np.testing.assert_allclose(found, case.arrays["test_logp"], rtol=1e-9)
    np.testing.assert_allclose(target.log_z, case.meta["log_Z"], rtol=1e-11)


def test_moments_are_those_of_one_well_by_turns():
    well = load("logz", "many_well_32").meta["per_well"]
    target = gm.energies.many_well(4)
    np.testing.assert_allclose(target.mean["x"], [well["E_d"], 0.0] * 2, rtol=1e-10)
    np.testing.assert_allclose(target.variance["x"], [well["E_d2"] - well["E_d"] ** 2, 1.0] * 2, rtol=1e-10)


def test_draws_have_the_moments_and_find_both_wells():
    target, share = gm.energies.many_well(6), load("logz", "many_well_32").meta["per_well"]["prob_d_negative"]
    assert_draws_agree(target)
    d = target.draw(jax.random.key(1), 200_000)["x"][:, ::2].ravel()
    assert abs(np.mean(d < 0) - share) < 4 * np.sqrt(share * (1 - share) / d.size)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("settings", [{"tilt": 2.0, "square": -3.0, "quartic": 0.5}, {"square": 1.0}, {"quartic": 8.0}])
def test_other_wells_have_their_constant(settings):
    target = gm.energies.many_well(2, **settings)
    np.testing.assert_allclose(target.log_z, gm.log_normalizer(target.model).log_z, rtol=1e-10)
    assert_draws_agree(target)


@pytest.mark.slow
def test_annealing_from_the_reference_finds_the_constant():
    target = gm.energies.many_well(2)
    path = gm.temper(target.model, target.reference)
    z = gm.log_z(path, gm.AIS(gm.MALA(), particles=2000, temperatures=100), seed=0)
    assert z.standard_error < 0.1
    assert abs(z.log_z - target.log_z) < 4 * z.standard_error


def test_odd_dimensions_and_open_wells_are_refused():
    with pytest.raises(gm.SpecError, match=r"many_well\(dim=3\): every well has two coordinates"):
        gm.energies.many_well(3)
    with pytest.raises(gm.SpecError, match=r"many_well\(quartic=0\.0\): a finite number above 0"):
        gm.energies.many_well(2, quartic=0.0)
