import numpy as np
import pytest

from gmdsl.results.estimate import estimate
from gmdsl.results.reliability import doubt_of_walk, judge, pareto_k, unseen_share


def test_one_rule_for_an_estimate_and_for_its_check():
    """Sixteen particles of which one counts: 5 % of the particles is less than one."""
    log_weight = np.r_[0.0, np.full(15, -30.0)]
    assert judge(log_weight).status == estimate(log_weight, "").status == "suspect"
    assert "16 weights, and 25 are needed" in judge(log_weight).evidence


def test_a_heavy_tail_and_few_draws_are_suspect_and_a_light_one_is_not():
    tail = np.random.default_rng(0).exponential(size=4000)
    assert judge(0.2 * tail).status == "ok"
    assert judge(0.9 * tail).status == "suspect"
    assert "above 0.7" in judge(0.9 * tail).evidence
    few = np.random.default_rng(0).exponential(size=60)
    assert "above 0.7" in judge(1.5 * few).evidence


def test_tails_of_the_reference_are_told_whatever_the_weights_say():
    found = judge(np.zeros(1000), "v")
    assert found.status == "suspect"
    assert "heavier tails than the reference along v" in found.evidence
    assert "wider reference" in found.advice


def test_weights_without_a_tail_are_described_and_not_nan():
    assert judge(np.zeros(500)).evidence == "500 of 500 particles count, their weights are equal"
    two = np.where(np.arange(1000) % 5 == 0, 0.0, -20.0)
    assert np.isnan(pareto_k(two))
    assert "not examined: the largest weights are tied" in judge(two).evidence
    assert "nan" not in judge(two).evidence


@pytest.mark.parametrize("spread", [0.03, 0.1])
def test_weights_on_the_grid_of_single_precision_have_a_shape(spread):
    """A log-density near -250,000 has steps of 1/64 to 1/32 nats: 400,000 rows of a logistic regression."""
    log_weight = np.float32(-250_000.0 + spread * np.random.default_rng(0).normal(size=4000))
    assert np.unique(log_weight).size < 60
    assert pareto_k(log_weight) < 0.3
    assert judge(log_weight).status == "ok"
    heavy = np.float32(-250_000.0 + 0.9 * np.random.default_rng(0).exponential(size=4000))
    assert judge(heavy).status == "suspect"


def test_no_weight_fails():
    assert judge(np.full(10, -np.inf)).status == judge(np.full(10, np.nan)).status == "failed"


@pytest.mark.parametrize("shape", [0.2, 0.5])
def test_the_unseen_share_grows_with_the_tail(shape):
    rng = np.random.default_rng(1)
    found = [unseen_share(shape * rng.exponential(size=2000)) for _ in range(20)]
    assert np.mean(found) == pytest.approx({0.2: 0.0005, 0.5: 0.02}[shape], rel=0.9)


@pytest.mark.parametrize("shape", [0.3, 0.9])
def test_the_pareto_shape_of_weights_is_estimated(shape):
    """exp(k E) with E exponential has a Pareto tail of shape k; the estimate's error is near 0.1."""
    rng = np.random.default_rng(4)
    found = np.mean([pareto_k(shape * rng.exponential(size=5000)) for _ in range(10)])
    assert abs(found - shape) < 0.1


def test_populations_that_disagree_and_moves_that_are_refused_are_doubted():
    together, apart = np.repeat([0.0, 0.2, -0.1, 0.1], 25), np.repeat([0.0, 0.2, -0.1, 4.0], 25)
    rates = np.array([0.6, 0.3])
    assert doubt_of_walk(together, 4, rates) == ""
    assert "one population of 4" in doubt_of_walk(apart, 4, rates)
    assert "the 8 populations disagree" in doubt_of_walk(np.repeat([0, 0, 0, 0, 0, 0, 3.0, 3.1], 10), 8, rates)
    assert "accepted at 0.01" in doubt_of_walk(together, 4, np.array([0.6, 0.01, np.nan]))
    assert doubt_of_walk(apart, 0, np.array([np.nan])) == ""
    held = np.where(np.arange(100) < 5, 0.0, 0.7)
    assert "5% of the particles cannot leave" in doubt_of_walk(np.zeros(100), 0, rates, held)
    assert doubt_of_walk(np.where(np.arange(100) < 5, -50.0, 0.0), 0, rates, held) == ""  # those have no weight
    assert judge(together, doubt="moves stood still").status == "suspect"
