"""Runs that go wrong, and what must be said of them."""

import warnings

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from tests.cases.scoring import load

SAMPLERS = [gm.NUTS(), gm.HMC(), gm.MALA(), gm.RandomWalk(), gm.Langevin(0.1)]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("where", ["value", "gradient"])
def test_a_nan_region_is_rejected_counted_and_warned_of_once(sampler, where):
    if where == "value":
        model = gm.energy(lambda x: 0.5 * x @ x - 0.0 * jnp.log(1.0 - x[0]), x=gm.Real(2))
    else:
        model = gm.energy(lambda x: 0.5 * x @ x + jnp.where(x[0] > 1.0, 0.0, 0.01 * jnp.sqrt(1.0 - x[0])), x=gm.Real(2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tree = gm.sample(model, sampler, init={"x": np.zeros(2, np.float32)}, draws=500, warmup=500, progress=False)
    share = float(tree["sample_stats"]["nan_evaluations"].values.mean())
    report = gm.check(tree, model)
    if isinstance(sampler, gm.RandomWalk) and where == "gradient":  # it needs none, and its draws are right
        assert share == 0.0
        assert report["finite scores"].status == "suspect"
        return
    assert (tree["posterior"]["x"].values[..., 0] <= 1.0).all()
    assert np.isfinite(tree["posterior"]["x"].values).all()
    assert share > 0.01
    if "accepted" in tree["sample_stats"]:
        assert not (tree["sample_stats"]["accepted"] & tree["sample_stats"]["nan_evaluations"]).values.any()
    assert [w.category for w in caught] == [gm.NaNWarning]
    assert f"{100 * share:.3g} %" in str(caught[0].message)
    assert report["NaN evaluations"].status == "suspect"
    assert report.status != "ok"


@pytest.mark.parametrize("sampler", SAMPLERS[:3], ids=lambda s: type(s).__name__)
def test_a_trajectory_that_overflows_is_no_nan_region(sampler):
    steep = gm.energy(lambda x: jnp.sum(x**4 - 6.0 * x**2), x=gm.Real(3))
    tree = gm.sample(steep, sampler, draws=200, warmup=500, progress=False)
    assert not tree["sample_stats"]["nan_evaluations"].values.any()


@pytest.mark.parametrize("sampler", SAMPLERS[:4], ids=lambda s: type(s).__name__)
def test_a_constant_log_density_is_never_ok(sampler):
    flat = gm.energy(lambda x: 0.0 * jnp.sum(x), x=gm.Real(2))
    tree = gm.sample(flat, sampler, draws=200, warmup=200, progress=False)
    report = gm.check(tree)
    assert report.status == "failed"
    assert report["bounded draws"].status in ("suspect", "failed")
    assert gm.check(tree, flat)["proper density"].status == "failed"


def test_unadjusted_chains_on_a_constant_log_density_are_found_with_the_model():
    flat = gm.energy(lambda x: 0.0 * jnp.sum(x), x=gm.Real(2))
    tree = gm.sample(flat, gm.Langevin(0.1), draws=500, warmup=100, progress=False)
    assert gm.check(tree).status != "ok"
    assert gm.check(tree, flat)["proper density"].status == "failed"


def test_a_stuck_chain_is_flagged_although_its_effective_size_is_full():
    model = gm.joint(x=dist.Normal(0.0, 1.0))
    tree = gm.sample(model, gm.NUTS(), draws=500, warmup=500, progress=False)
    for group in ("posterior", "unconstrained_posterior"):
        tree[group]["x"].values[2] = 0.25
    report = gm.check(tree, model)
    assert report["moving chains"].status == "failed"
    assert report["moving chains"].evidence == "constant: x in 1 of 4 chains"


def test_chains_that_do_not_cross_between_forty_modes_are_not_ok():
    means = load("logz", "gmm40_fab_torch").arrays["means"]
    scale = float(np.log1p(np.exp(1.0)))
    starts = gm.joint(x=dist.Normal(0.0, 40.0).expand([2]).to_event(1))
    model = gm.energy(
        lambda x, m: -_log_mean_exp(-0.5 * jnp.sum((x[None] - m) ** 2, axis=1) / scale**2),
        x=gm.Real(2), m=gm.data(means),
    )  # fmt: skip
    tree = gm.sample(model, gm.NUTS(), init=starts, progress=False)
    report = gm.check(tree, model, reference=starts)
    assert report.status != "ok"
    assert report["R-hat"].status == "suspect"
    assert float(report["R-hat"].evidence.split()[0]) > 1.01
    assert report["mode audit"].status == "suspect"


def test_a_reference_that_never_meets_the_target_gives_no_nan():
    target = gm.energy(lambda x: jnp.where(x > 10.0, 0.5 * (x - 12.0) ** 2, jnp.inf), x=gm.Real())
    path = gm.temper(target, gm.joint(x=dist.Normal(-50.0, 1.0)))
    for sampler in (gm.AIS(gm.MALA(), particles=200, temperatures=20), gm.ImportanceSampling(particles=200)):
        z = gm.log_z(path, sampler)
        assert z.log_z == -np.inf
        assert z.status == "failed"
        assert z.ess == 0.0
        assert not np.isnan(z.curve["log_z"]).any()
        report = gm.check(z)
        assert report.status == "failed"
        assert "ESS 0 of 200" in report["weights"].evidence
        with pytest.raises(gm.SpecError, match="no draw has any weight"):
            gm.sample(path, sampler)


def _log_mean_exp(values):
    top = jnp.max(values)
    return top + jnp.log(jnp.mean(jnp.exp(values - top)))
