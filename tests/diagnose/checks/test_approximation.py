import numpy as np
import numpyro.distributions as dist
import xarray

import gmdsl as gm
from gmdsl.diagnose.checks.approximation import approximation


def tree(log_weight=None, **found):
    """What a generator leaves behind."""
    groups = {
        "posterior": xarray.Dataset({"x": (("chain", "draw"), np.zeros((1, 3)))}, attrs={"bias": "a bell"}),
        "approximation": xarray.Dataset({name: (f"{name}_dim_0", value) for name, value in found.items()}),
    }
    if log_weight is not None:
        groups["particles"] = xarray.Dataset({"log_weight": (("a", "b"), log_weight[None])})
    return xarray.DataTree.from_dict({f"/{name}": group for name, group in groups.items()})


def findings(result):
    return {finding.name: finding for finding in approximation(result) if finding is not None}


def test_the_law_is_named_and_the_next_step_is_a_chain():
    found = findings(tree(np.zeros(100)))
    assert found["law of the sampler"].evidence == "a bell"
    assert "gm.sample(model, gm.NUTS(), init=...)" in found["law of the sampler"].advice
    assert set(found) == {"law of the sampler", "weights"}


def test_weights_with_a_heavy_tail_are_suspect_and_equal_ones_are_not():
    """Log-weights that are exponential with mean k have a Pareto tail of shape k."""
    tails = np.random.default_rng(0).exponential(size=20_000)
    light, heavy = findings(tree(0.3 * tails))["weights"], findings(tree(1.5 * tails))["weights"]
    assert (light.status, light.advice) == ("ok", "")
    assert heavy.status == "suspect"
    assert "gm.NUTS" in heavy.advice


def test_starts_that_ended_elsewhere_are_counted_with_the_gap():
    heights = np.array([-3.0, -5.5, -3.0, -4.0])
    found = findings(tree(end_log_density=heights, elsewhere=np.array([False, True, False, True])))
    assert found["starts"].status == "suspect"
    assert found["starts"].evidence == "2 of 4 ended at other modes, the nearest lower by 1 in log-density"
    one = findings(tree(end_log_density=heights[[0, 2]], elsewhere=np.array([False, False])))
    assert (one["starts"].status, one["starts"].evidence) == ("ok", "all 2 ended at one mode")


def test_a_point_has_no_weights():
    assert findings(tree())["weights"].evidence == "not examined: a point has no weights"


def test_what_stands_in_posterior_is_judged_and_not_what_weights_could_make_of_it():
    model = gm.joint(g=dist.Gamma(0.5, 1.0))
    for seed in range(4):
        report = gm.check(gm.sample(model, gm.Laplace(), draws=4000, seed=seed, progress=False))
        assert report["moments"].status == report.status == "suspect"
        assert report["moments"].evidence.startswith("mean of g 1.")


def test_a_normal_that_fits_is_not_suspect():
    model = gm.joint(g=dist.Gamma(50.0, 1.0))
    report = gm.check(gm.sample(model, gm.Laplace(), draws=2000, progress=False))
    assert report["moments"].status == report.status == "ok"
