import jax
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.exact.discrete_sums import expectation_of, log_sum
from tests.cases.scoring import load
from tests.energies.agreement import assert_draws_agree

CASE = load("discrete", "ising_4x4")
CRITICAL = 0.5 * np.log1p(np.sqrt(2.0))


@pytest.mark.parametrize("row", CASE.meta["table"], ids=lambda row: f"beta={row['beta']:.2f}")
def test_a_small_torus_has_the_constant_of_the_case(row):
    np.testing.assert_allclose(gm.energies.ising(4, 4, row["beta"]).log_z, row["log_Z"], rtol=1e-11)


@pytest.mark.parametrize(("coupling", "log_z"), [(0.2, 46.666323), (CRITICAL, 56.924442), (0.5, 61.208489)])
def test_free_edges_have_their_constant(coupling, log_z):
    np.testing.assert_allclose(gm.energies.ising(8, 8, coupling, periodic=False).log_z, log_z, atol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (4, 2)])
@pytest.mark.parametrize("coupling", [0.37, -0.5])
def test_in_a_field_constant_and_mean_are_those_of_sums_over_states(rows, columns, coupling, periodic):
    target = gm.energies.ising(rows, columns, coupling, 0.13, periodic=periodic)
    np.testing.assert_allclose(target.log_z, log_sum(target.model), rtol=1e-11)
    np.testing.assert_allclose(target.mean["s"], expectation_of(target.model, lambda v: v["s"]), atol=1e-11)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("rows", "columns", "coupling"), [(3, 4, 0.4), (1, 5, 0.4), (4, 2, -0.4), (3, 3, -0.4), (3, 4, 0)]
)
def test_without_a_field_the_constant_is_that_of_a_sum_over_states(rows, columns, coupling):
    target = gm.energies.ising(rows, columns, coupling)
    np.testing.assert_allclose(target.log_z, log_sum(target.model), rtol=1e-11)


def correlations(rows, columns, coupling, field, periodic):
    """The means of products of all pairs of spins, over a list of all states."""
    count = rows * columns
    s = (2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1) - 1).reshape(-1, rows, columns)
    bonds = (s[:, 1:] * s[:, :-1]).sum((1, 2)) + (s[:, :, 1:] * s[:, :, :-1]).sum((1, 2))
    if periodic:
        bonds = bonds + (s[:, 0] * s[:, -1]).sum(1) + (s[:, :, 0] * s[:, :, -1]).sum(1)
    logs = coupling * bonds + field * s.sum((1, 2))
    p, flat = np.exp(logs - np.logaddexp.reduce(logs)), s.reshape(-1, count)
    return (flat * p[:, None]).T @ flat


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (5, 3)])
def test_draws_have_the_means_and_the_correlations_of_all_states(rows, columns, periodic):
    target, count = gm.energies.ising(rows, columns, 0.35, 0.1, periodic=periodic), 20_000
    assert_draws_agree(target, count)
    s = target.draw(jax.random.key(1), count)["s"].reshape(count, -1).astype(float)
    truth = correlations(rows, columns, 0.35, 0.1, periodic)
    z = (s.T @ s / count - truth) / np.sqrt((1 - truth**2) / count + 1e-12)
    assert np.abs(z).max() < 5.0  # 105 pairs, false alarms 6e-5


def test_a_large_torus_is_known_in_closed_form_and_in_a_field_not_at_all():
    assert gm.energies.ising(64, 64).log_z is not None
    in_field = gm.energies.ising(64, 64, 0.4, 0.1)
    assert (in_field.log_z, in_field.mean, in_field.draw) == (None, None, None)


def test_sizes_that_are_no_whole_numbers_are_refused():
    with pytest.raises(gm.SpecError, match=r"ising\(columns=2\.5\): a whole number of at least 1"):
        gm.energies.ising(3, 2.5)
