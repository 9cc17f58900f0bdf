import numpy as np

from gmdsl.diagnose.checks.weights import weights


def test_equal_weights_all_count():
    found = weights(np.zeros(1000))
    assert found.status == "ok"
    assert found.evidence.startswith("1000 of 1000 particles count")


def test_one_large_weight_is_suspect():
    found = weights(np.r_[20.0, np.zeros(999)])
    assert found.status == "suspect"
    assert found.evidence.startswith("1 of 1000")


def test_no_weight_at_all_fails_without_nan():
    found = weights(np.full(100, -np.inf))
    assert found.status == "failed"
    assert "ESS 0 of 100" in found.evidence
    assert "nan" not in found.evidence.lower()
    assert weights(np.full(100, np.nan)).status == "failed"


def test_a_nan_weight_counts_as_none():
    log_weight = np.zeros(1000)
    log_weight[:10] = np.nan
    assert weights(log_weight).evidence.startswith("990 of 1000")


def test_heavy_weights_are_suspect_although_many_count():
    log_weight = np.log(np.random.default_rng(0).pareto(1.15, size=4000) + 1.0)
    found = weights(log_weight)
    assert found.status == "suspect"
    assert "above 0.7" in found.evidence


def test_light_weights_are_rarely_suspect():
    rng = np.random.default_rng(5)
    assert sum(weights(0.5 * rng.normal(size=1000)).status != "ok" for _ in range(100)) <= 1
