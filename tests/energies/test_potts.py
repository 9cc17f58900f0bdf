import jax
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.exact.discrete_sums import log_sum
from tests.energies.agreement import assert_draws_agree


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("rows", "columns"), [(3, 2), (2, 4)])
def test_its_constant_is_that_of_a_sum_over_states(rows, columns, periodic):
    target = gm.energies.potts(rows, columns, 3, 0.7, periodic=periodic)
    np.testing.assert_allclose(target.log_z, log_sum(target.model), rtol=1e-11)


def agreements(rows, columns, labels, coupling, periodic):
    """How often two sites have one label, over a list of all states."""
    s = np.indices([labels] * (rows * columns)).reshape(rows * columns, -1).T.reshape(-1, rows, columns)
    bonds = (s[:, 1:] == s[:, :-1]).sum((1, 2)) + (s[:, :, 1:] == s[:, :, :-1]).sum((1, 2))
    if periodic:
        bonds = bonds + (s[:, 0] == s[:, -1]).sum(1) + (s[:, :, 0] == s[:, :, -1]).sum(1)
    p, flat = np.exp(coupling * bonds), s.reshape(len(s), -1)
    return np.tensordot(p / p.sum(), (flat[:, :, None] == flat[:, None]), 1)


def test_two_labels_are_an_ising_model():
    two, spins = gm.energies.potts(6, 9, 2, 0.8), gm.energies.ising(6, 9, 0.4)
    np.testing.assert_allclose(two.log_z, spins.log_z + 0.4 * 2 * 54, rtol=1e-11)


@pytest.mark.parametrize("periodic", [True, False])
def test_draws_agree_with_their_neighbours_as_often_as_they_should(periodic):
    target, count = gm.energies.potts(2, 4, 3, 0.6, periodic=periodic), 20_000
    assert_draws_agree(target, count)
    drawn = target.draw(jax.random.key(1), count)["s"].reshape(count, -1)
    truth = agreements(2, 4, 3, 0.6, periodic)
    share = (drawn[:, :, None] == drawn[:, None]).mean(0)
    z = (share - truth) / np.sqrt(truth * (1 - truth) / count + 1e-12)
    assert np.abs(z).max() < 4.8  # 28 pairs, false alarms 4e-5


def test_the_reference_has_independent_labels_in_the_same_space():
    target = gm.energies.potts(3, 3, 4)
    assert target.reference.spaces == target.model.spaces
    assert target.reference.capabilities().drawable


def test_wide_lattices_have_no_constant_and_one_label_is_refused():
    assert gm.energies.potts(7, 7, 3).log_z is None
    with pytest.raises(gm.SpecError, match=r"potts\(labels=1\): a whole number of at least 2"):
        gm.energies.potts(3, 3, 1)
