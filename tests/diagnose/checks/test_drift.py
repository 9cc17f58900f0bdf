import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import gmdsl as gm
from gmdsl.diagnose.checks.drift import drift


def tree(warmup, draws, **stats):
    """A tree of given draws (chain, draw)."""
    groups = {"posterior": {"x": draws}, "warmup_unconstrained_posterior": {"x": warmup}, "sample_stats": stats}
    return xarray.DataTree.from_dict(
        {
            f"/{name}": xarray.Dataset({k: (("chain", "draw"), v) for k, v in values.items()})
            for name, values in groups.items()
        }
    )


def judged(warmup, draws, **stats):
    found = tree(warmup, draws, **stats)
    return drift(found, found["posterior"])


def test_a_walk_that_widens_without_rest_is_suspect_and_with_every_step_accepted_failed():
    rng = np.random.default_rng(0)
    steps = np.exp(np.linspace(0.0, 5.0, 500))  # warm-up raises the step
    warmup = (steps * rng.normal(size=(4, 500))).cumsum(axis=1)
    draws = warmup[:, -1:] + steps[-1] * rng.normal(size=(4, 500)).cumsum(axis=1)
    found = judged(warmup, draws)
    assert found.status in ("suspect", "failed")
    assert "grows without coming to rest" in found.evidence
    accepted = judged(warmup, draws, acceptance_rate=np.ones((4, 500)), step_size=np.full((4, 500), steps[-1]))
    assert accepted.status == "failed"
    assert "still every proposal accepted" in accepted.evidence


def test_a_target_in_large_units_grows_and_then_rests():
    rng = np.random.default_rng(1)
    warmup = np.linspace(1.0, 1e6, 500) * rng.normal(size=(4, 500))
    assert judged(warmup, 1e6 * rng.normal(size=(4, 500))).status == "ok"


def test_a_heavy_tail_is_no_drift():
    rng = np.random.default_rng(2)
    assert judged(rng.standard_cauchy((4, 500)), rng.standard_cauchy((4, 500))).status == "ok"
    model = gm.joint(x=dist.Cauchy(0.0, 1.0), s=dist.HalfCauchy(5.0))
    found = gm.check(gm.sample(model, gm.NUTS(), progress=False), model)
    assert found["bounded draws"].status == "ok"
    assert found["proper density"].status == "ok"


@pytest.mark.parametrize("sampler", [gm.NUTS(), gm.HMC(), gm.MALA(), gm.RandomWalk()], ids=lambda s: type(s).__name__)
def test_every_sampler_that_adapts_is_seen_to_run_away_from_a_flat_density(sampler):
    flat = gm.energy(lambda x: 0.0 * jnp.sum(x), x=gm.Real(2))
    report = gm.check(gm.sample(flat, sampler, progress=False))
    assert report["bounded draws"].status == "failed"
    assert "no step is too large" in report["bounded draws"].evidence


@pytest.mark.parametrize("sampler", [gm.NUTS(), gm.MALA(), gm.Langevin(0.1)], ids=lambda s: type(s).__name__)
def test_with_the_model_a_ridge_is_told_by_name(sampler):
    ridge = gm.energy(lambda x: (x[0] - x[1]) ** 2, x=gm.Real(2))
    report = gm.check(gm.sample(ridge, sampler, draws=500, warmup=500, progress=False), ridge)
    assert report.status == "failed"
    assert "+0.71 x[0] +0.71 x[1]" in report["proper density"].evidence


def test_a_few_far_draws_of_chains_that_disagree_are_no_drift():
    rng = np.random.default_rng(4)
    draws = rng.normal(size=(4, 500)) + 3.0 * np.arange(4)[:, None]
    draws[:, -5:] *= 1e4
    assert judged(rng.normal(size=(4, 500)), draws).status == "ok"


def test_short_runs_and_single_chains_are_not_judged():
    rng = np.random.default_rng(3)
    assert judged(rng.normal(size=(1, 100)), rng.normal(size=(1, 100))) is None
    assert judged(rng.normal(size=(4, 100)), rng.normal(size=(4, 10))) is None
