import numpy as np
import pytest

import gmdsl as gm
from gmdsl.exact.discrete_sums import log_sum
from tests.cases.scoring import load
from tests.energies.agreement import assert_draws_agree

CASE = load("discrete", "spin_glass_12")
J, H = CASE.arrays["J"] + CASE.arrays["J"].T, CASE.arrays["h"]


@pytest.mark.usefixtures("x64")
def test_a_glass_has_the_constant_and_the_means_of_the_case():
    target = gm.energies.spin_glass(J, H)
    np.testing.assert_allclose(target.log_z, CASE.meta["log_Z"], rtol=1e-11)
    np.testing.assert_allclose(target.mean["s"], CASE.arrays["mean"], atol=1e-11)
    np.testing.assert_allclose(log_sum(target.model), target.log_z, rtol=1e-11)


def test_draws_have_the_means_and_the_correlations_of_the_case():
    import jax

    target, count = gm.energies.spin_glass(J, H), 20_000
    assert_draws_agree(target, count)
    s = target.draw(jax.random.key(1), count)["s"].astype(float)
    truth = CASE.arrays["second_moment"]
    z = (s.T @ s / count - truth) / np.sqrt((1 - truth**2) / count + 1e-12)
    assert np.abs(z).max() < 5.0  # 66 pairs, false alarms 4e-5


def test_couplings_of_sherrington_and_kirkpatrick_have_their_variance_and_their_seed():
    target, again, other = (gm.energies.sherrington_kirkpatrick(100, 2.0, seed=s) for s in (0, 0, 1))
    table = target.model.data["J"]
    np.testing.assert_array_equal(table, again.model.data["J"])
    assert not np.array_equal(table, other.model.data["J"])
    square = np.mean(table[np.triu_indices(100, 1)] ** 2)
    assert abs(square - 4.0 / 100) < 4.5 * 0.04 * np.sqrt(2 / 4950)
    assert target.log_z is None
    assert target.mean["s"].tolist() == [0.0] * 100


def test_a_large_glass_in_a_field_has_nothing_known():
    target = gm.energies.spin_glass(np.zeros((30, 30)), np.ones(30))
    assert (target.log_z, target.mean, target.draw) == (None, None, None)


def test_tables_that_are_not_symmetric_are_refused():
    with pytest.raises(gm.SpecError, match=r"spin_glass\(couplings=\.\.\.\).*not symmetric"):
        gm.energies.spin_glass(CASE.arrays["J"])
    with pytest.raises(gm.SpecError, match=r"spin_glass\(field=\.\.\.\): shape \(2,\), but there are 12 spins"):
        gm.energies.spin_glass(J, [1.0, 2.0])
