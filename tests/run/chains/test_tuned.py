import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from tests.samplers.laws import assert_exact, target


@pytest.fixture(scope="module")
def tree():
    return gm.sample(target(), gm.HMC(steps=8), draws=20, warmup=300, progress=False)


def test_the_tree_holds_what_the_warm_up_tuned(tree):
    steps = tree["sample_stats"]["step_size"].values[:, -1]
    np.testing.assert_array_equal(tree["tuned"]["step_size"], steps)
    assert tree["tuned"]["inverse_mass"].shape == (4, 2)
    assert tree["tuned"]["inverse_mass"].dims[0] == "chain"


def test_each_chain_goes_on_with_its_own_settings(tree):
    sampler = gm.tuned(tree, gm.HMC(steps=8))
    assert (sampler.chains, sampler.adapts) == (4, ())
    more = gm.sample(target(), sampler, init=tree, warmup=0, draws=3000, progress=False)
    np.testing.assert_array_equal(more["sample_stats"]["step_size"][:, 0], tree["tuned"]["step_size"])
    assert_exact(more, least_ess=2000)


def test_pooled_settings_are_means_and_serve_any_number_of_chains(tree):
    pooled = gm.tuned(tree, gm.HMC(steps=8)).pooled()
    step = np.exp(np.log(tree["tuned"]["step_size"].values).mean())
    np.testing.assert_allclose(pooled.step_size, step, rtol=1e-6)
    np.testing.assert_allclose(pooled.inverse_mass, tree["tuned"]["inverse_mass"].values.mean(0), rtol=1e-6)
    assert pooled.steps == 8
    wide = gm.sample(target(), pooled, chains=50, warmup=0, draws=5, progress=False)
    np.testing.assert_allclose(wide["sample_stats"]["step_size"], step, rtol=1e-6)


def test_settings_of_blocks_and_of_low_rank_metrics_are_kept_too():
    model = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(4.0 * k, 1.0).expand([3]))
    sampler = gm.blocks({"x": gm.HMC(metric=gm.adapt.LowRankMetric(rank=1)), "k": gm.Gibbs()})
    first = gm.sample(model, sampler, draws=5, warmup=100, progress=False)
    tuned = gm.tuned(first, sampler)
    more = gm.sample(model, tuned, init=first, warmup=0, draws=5, progress=False)
    np.testing.assert_array_equal(
        more["sample_stats"]["step_size_x"][:, 0], first["sample_stats"]["step_size_x"][:, -1]
    )
    scales = first["tuned"]["parts.0.inverse_mass.scales"].values
    pooled = tuned.pooled().parts[0].inverse_mass
    assert any(np.array_equal(pooled.scales, one) for one in scales)


def test_a_store_keeps_what_was_tuned(tmp_path):
    settings = {"draws": 20, "warmup": 200, "progress": False}
    here = gm.sample(target(), gm.NUTS(), **settings)
    there = gm.sample(target(), gm.NUTS(), store=tmp_path / "run.zarr", **settings)
    np.testing.assert_array_equal(there["tuned"]["inverse_mass"], here["tuned"]["inverse_mass"])
    assert there["tuned"]["step_size"].dims == ("chain",)
    longer = gm.resume(tmp_path / "run.zarr", target(), gm.NUTS(), draws=30, progress=False)
    np.testing.assert_array_equal(gm.tuned(longer, gm.NUTS()).step_size, here["tuned"]["step_size"])


def test_new_data_are_sampled_with_the_settings_of_the_old():
    model = gm.joint(m=dist.Normal(0.0, 5.0), y=lambda m: dist.Normal(m, 1.0).expand([3]))
    first = gm.sample(model.condition(y=[1.0, 2.0, 3.0]), gm.NUTS(), draws=5, progress=False)
    tuned = gm.tuned(first, gm.NUTS())
    more = gm.sample(model.condition(y=[5.0, 6.0, 7.0]), tuned, warmup=20, draws=500, progress=False)
    assert abs(float(more["posterior"]["m"].mean()) - 75 / 76 * 6.0) < 0.15


def test_what_does_not_fit_is_refused_with_what_to_do(tree):
    with pytest.raises(gm.SpecError, match=r"tuned\(tree, NUTS\): the run was made by HMC"):
        gm.tuned(tree, gm.NUTS())
    with pytest.raises(gm.SpecError, match="the sampler was tuned for 4 chains"):
        gm.sample(target(), gm.tuned(tree, gm.HMC()), chains=5, warmup=0, draws=2, progress=False)
    untuned = gm.sample(target(), gm.Langevin(0.01), draws=5, warmup=5, progress=False)
    with pytest.raises(gm.SpecError, match="nothing was tuned in this run"):
        gm.tuned(untuned, gm.Langevin(0.01))
    with pytest.raises(gm.SpecError, match=r"is a setting of one and not of the other"):
        gm.tuned(tree, gm.HMC(metric=gm.adapt.LowRankMetric()))
    assert jnp.ndim(gm.tuned(tree, gm.HMC()).of(2).step_size) == 0
