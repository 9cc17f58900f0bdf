import numpy as np
import pytest
import xarray

from gmdsl.diagnose.checks import draws


def dataset(**variables):
    """Draws (chain, draw, ...) as a group of a tree."""
    named = {
        name: (("chain", "draw", *(f"{name}_{i}" for i in range(value.ndim - 2))), value)
        for name, value in variables.items()
    }
    return xarray.DataTree(xarray.Dataset(named))


@pytest.fixture
def good():
    return np.random.default_rng(0).normal(size=(4, 1000, 3))


def test_draws_that_are_not_finite_are_counted_by_name(good):
    good[0, 5, 1], good[2, 7, 0] = np.nan, np.inf
    found = draws.finite(dataset(x=good, n=np.ones((4, 1000), int)))
    assert found.status == "failed"
    assert found.evidence == "draws that are NaN or infinite: x: 2"


def test_one_element_of_one_chain_that_stands_still_is_found(good):
    good[1, :, 2] = 0.5
    found = draws.constant({"posterior": dataset(x=good)}, dataset(x=good))
    assert found.status == "failed"
    assert found.evidence == "constant: x in 1 of 4 chains"


def test_chains_that_disagree_are_suspect_however_well_they_mix(good):
    good[0, :, 1] += 0.5
    found = draws.rhat(dataset(x=good))
    assert found.status == "suspect"
    assert "x" in found.evidence


def test_a_difference_in_spread_alone_is_suspect(good):
    good[0] *= 1.6
    assert draws.rhat(dataset(x=good)).status == "suspect"


def test_chance_on_short_runs_is_a_note_and_not_a_finding():
    """R-hat passes 1.01 on most sets of 60 draws a chain; in 100 of them the limit is passed at most twice."""
    rng = np.random.default_rng(1)
    found = [draws.rhat(dataset(x=rng.normal(size=(4, 60, 5)))).status for _ in range(100)]
    assert found.count("suspect") <= 2
    assert found.count("note") > 50


def test_chance_in_a_spread_that_changes_slowly_is_a_note():
    """The draws are uncorrelated and their size is not: what counts is the effective size of the distances."""
    rng = np.random.default_rng(6)
    found = []
    for _ in range(40):
        size = np.zeros((4, 500, 1))
        for t in range(1, 500):
            size[:, t] = 0.85 * size[:, t - 1] + 0.5 * rng.normal(size=(4, 1))
        found.append(draws.rhat(dataset(x=np.exp(size) * rng.normal(size=size.shape))).status)
    assert found.count("suspect") <= 1
    assert found.count("note") > 5


def test_few_effective_draws_do_not_excuse_a_large_rhat():
    walk = np.random.default_rng(2).normal(size=(4, 500, 1)).cumsum(axis=1)
    assert draws.rhat(dataset(x=walk)).status == "suspect"


def test_effective_sizes_have_a_floor_per_chain(good):
    assert [f.status for f in draws.sizes(dataset(x=good))] == ["ok", "ok"]
    assert {f.status for f in draws.sizes(dataset(x=good[:, :80]))} == {"suspect"}


def test_what_is_too_short_is_said_to_be(good):
    assert draws.enough(dataset(x=good[:, :5])).status == "suspect"
    assert draws.enough(dataset(x=good)) is None
    assert draws.rhat(dataset(x=good[:, :5])).evidence == "not examined: 5 draws"
    assert draws.rhat(dataset(x=good[:1])).evidence == "not examined: one chain"
    assert draws.sizes(dataset(x=good[:, :5])) == []


def test_a_discrete_element_may_stay_where_all_chains_agree():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, size=(4, 200, 3))
    labels[..., 1] = 1
    found = draws.constant({"posterior": dataset(k=labels)}, dataset(k=labels.astype(float)))
    assert (found.status, found.evidence) == ("note", "one value in every chain, k: 1 of 3 elements")
    labels[2, :, 1] = 0  # one chain sits in another state
    found = draws.constant({"posterior": dataset(k=labels)}, dataset(k=labels.astype(float)))
    assert (found.status, found.evidence) == ("failed", "constant: k in 4 of 4 chains")
    labels[:] = 1
    assert draws.constant({"posterior": dataset(k=labels)}, dataset(k=labels.astype(float))).status == "failed"


@pytest.mark.parametrize("draws_per_chain", [100, 500, 1000, 4000])
def test_independent_draws_have_enough_however_few_there_are(draws_per_chain):
    rng = np.random.default_rng(4)
    for _ in range(10):
        found = draws.sizes(dataset(x=rng.normal(size=(4, draws_per_chain, 3))))
        assert "suspect" not in {f.status for f in found}


def slow(draws_per_chain, memory, rng):
    """Autoregressions whose effective size is (1 - memory) / (1 + memory) of their length."""
    x = np.zeros((4, draws_per_chain, 1))
    x[:, 0] = rng.normal(size=(4, 1))
    for t in range(1, draws_per_chain):
        x[:, t] = memory * x[:, t - 1] + np.sqrt(1 - memory**2) * rng.normal(size=(4, 1))
    return x


def test_a_short_run_that_mixes_well_is_a_note_and_one_that_does_not_is_suspect():
    rng = np.random.default_rng(5)
    good, bad = dataset(x=slow(500, 0.75, rng)), dataset(x=slow(500, 0.95, rng))  # about 290 and 50 effective draws
    assert draws.sizes(good)[0].status == "note"
    assert draws.sizes(bad)[0].status == "suspect"


def test_a_long_run_that_mixes_slowly_needs_a_hundred_per_chain():
    rng = np.random.default_rng(6)
    assert draws.sizes(dataset(x=slow(4000, 0.98, rng)))[0].status == "suspect"  # about 160 of 16,000
    assert draws.sizes(dataset(x=slow(4000, 0.9, rng)))[0].status == "ok"  # about 840


def test_a_label_that_moves_seldom_may_stand_still_in_a_chain():
    labels = np.random.default_rng(7).integers(0, 2, size=(4, 500, 2))
    labels[..., 1] = 0
    labels[0, 100, 1] = labels[2, 300, 1] = 1  # one visit in each of two chains
    found = draws.constant({"posterior": dataset(k=labels)}, dataset(k=labels.astype(float)))
    assert found.status == "ok"
    labels[:3, ::2, 1] = 1  # all the time in three chains, never in the last
    found = draws.constant({"posterior": dataset(k=labels)}, dataset(k=labels.astype(float)))
    assert (found.status, found.evidence) == ("failed", "constant: k in 1 of 4 chains")


def test_the_model_tells_which_labels_may_stand_still():
    labels = np.random.default_rng(8).integers(0, 2, size=(4, 500, 3))
    labels[..., 1:] = 1
    given = {"k": np.array([[False, True, False]] * 4)}
    found = draws.constant({"posterior": dataset(k=labels)}, dataset(k=labels.astype(float)), given)
    assert (found.status, found.evidence) == ("failed", "constant: k in 4 of 4 chains")
    given["k"][:, 2] = True
    assert draws.constant({"posterior": dataset(k=labels)}, dataset(k=labels.astype(float)), given).status == "note"


def test_two_values_in_half_of_the_draws_each_are_judged_by_their_ranks():
    labels = np.random.default_rng(0).permuted(np.tile([0, 1], (4, 250)), axis=1)  # their distance from 0.5 is constant
    moving = dataset(z=labels)
    assert draws.rhat(moving).status == "ok"
    assert [found.status for found in draws.sizes(moving)] == ["ok", "ok"]
