import jax
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.exact.discrete_sums import expectation_of, log_sum
from tests.energies.agreement import assert_draws_agree


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("rows", "columns"), [(3, 2), (2, 4)])
def test_its_constant_and_mean_are_those_of_sums_over_states(rows, columns, periodic):
    target = gm.energies.potts(rows, columns, 3, 0.7, periodic=periodic)
    np.testing.assert_allclose(target.log_z, log_sum(target.model), rtol=1e-11)
    np.testing.assert_allclose(target.mean["s"], expectation_of(target.model, lambda v: v["s"]), atol=1e-11)


def test_two_labels_are_an_ising_model():
    two, spins = gm.energies.potts(6, 9, 2, 0.8), gm.energies.ising(6, 9, 0.4)
    np.testing.assert_allclose(two.log_z, spins.log_z + 0.4 * 2 * 54, rtol=1e-11)


@pytest.mark.parametrize("periodic", [True, False])
def test_draws_agree_with_their_neighbours_as_often_as_they_should(periodic):
    target, count = gm.energies.potts(2, 4, 3, 0.6, periodic=periodic), 20_000
    assert_draws_agree(target, count)
    s = target.draw(jax.random.key(1), count)["s"]
    for other in ((0, 1), (1, 0), (0, 3)):
        truth = float(expectation_of(target.model, lambda v, other=other: v["s"][0, 0] == v["s"][other]))
        assert abs(np.mean(s[:, 0, 0] == s[:, *other]) - truth) < 4.5 * np.sqrt(truth * (1 - truth) / count)


def test_the_reference_has_independent_labels_in_the_same_space():
    target = gm.energies.potts(3, 3, 4)
    assert target.reference.spaces == target.model.spaces
    assert target.reference.capabilities().drawable


def test_wide_lattices_have_no_constant_and_one_label_is_refused():
    assert gm.energies.potts(7, 7, 3).log_z is None
    with pytest.raises(gm.SpecError, match=r"potts\(labels=1\): a whole number of at least 2"):
        gm.energies.potts(3, 3, 1)
