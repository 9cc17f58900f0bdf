import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from tests.samplers.laws import assert_exact, target

FLAGS = {"warmup_window": jnp.asarray(True), "warmup_window_end": jnp.asarray(False)}
LAST = {"warmup_window": jnp.asarray(True), "warmup_window_end": jnp.asarray(True)}


def one(position, rate, rule, flags):
    adapter = gm.adapt.CrossChain(rule)
    state, sampler = adapter.start(gm.HMC(), 2)
    _, sampler = adapter.update(state, sampler, position, None, {"acceptance_rate": rate, **flags})
    return sampler


@pytest.mark.parametrize("rule", [gm.adapt.DiagonalMetric(), gm.adapt.DenseMetric()])
def test_the_scales_are_those_of_the_draws_of_all_chains(rule, x64):
    x = np.random.default_rng(0).normal(size=(500, 2)) * [1.0, 3.0] + [10.0, 0.0]
    masses = jax.vmap(lambda p: one(p, 0.5, rule, LAST).inverse_mass, axis_name="lanes")(jnp.asarray(x))
    exact = np.cov(x.T) if masses[0].ndim == 2 else x.var(0, ddof=1)
    np.testing.assert_allclose(masses[0], exact, rtol=0.02)
    assert (np.asarray(masses) == np.asarray(masses[0])).all()


def test_the_step_follows_the_mean_rate_of_all_chains(x64):
    rates = jnp.array([0.0, 1.0, 0.8])
    steps = jax.vmap(lambda r: one(jnp.zeros(2), r, gm.adapt.StepSize(0.8), FLAGS).step_size, axis_name="lanes")(rates)
    rule = gm.adapt.StepSize(0.8)
    state, sampler = rule.start(gm.HMC(), 2)
    _, sampler = rule.update(state, sampler, None, None, {"acceptance_rate": jnp.asarray(0.6), **FLAGS})
    np.testing.assert_allclose(steps, sampler.step_size, rtol=1e-12)


def test_chains_that_are_tuned_together_have_one_tuning_and_the_right_law():
    pooled = gm.adapt.CrossChain(gm.adapt.DiagonalMetric())
    tree = gm.sample(target(), gm.HMC(metric=pooled, steps=5), chains=16, draws=1500, warmup=300, progress=False)
    assert tree.attrs["chain_mode"] == "vmap"
    assert_exact(tree, least_ess=2000)


class Silent(gm.Adapter):
    """A rule that does not say how chains are pooled."""

    tunes = ("step_size",)

    def start(self, sampler, dim):
        return jnp.zeros(()), sampler

    def update(self, state, sampler, position, score, stats):
        return state, sampler

    def finish(self, state, sampler):
        return sampler


def test_what_cannot_be_pooled_is_refused_with_what_to_do():
    sampler = gm.HMC(inverse_mass=[1.0, 1.0], metric=gm.adapt.CrossChain(Silent()))
    with pytest.raises(gm.SpecError, match=r"CrossChain\(Silent\(...\)\) pools chains, and Silent does not say how"):
        gm.sample(target(), sampler, draws=2, warmup=2, progress=False)
    sampler = gm.HMC(metric=gm.adapt.CrossChain(gm.adapt.DiagonalMetric()))
    with pytest.raises(gm.SpecError, match=r"chains=1\): CrossChain of HMC learns from several"):
        gm.sample(target(), sampler, chains=1, draws=2, warmup=2, progress=False)
    with pytest.raises(gm.SpecError, match="tunes all chains together, so they\n?\\s*run side by side"):
        gm.sample(target(), sampler, chain_mode="map", draws=2, warmup=2, progress=False)


def test_a_mesh_pools_the_chains_of_all_devices(x64):
    """On one device the mesh has one entry; the collectives over its axis are those of several."""
    sampler = gm.ChEESHMC()
    settings = {"chains": 8, "draws": 20, "warmup": 60, "progress": False}
    alone = gm.sample(target(), sampler, **settings)
    shared = gm.sample(target(), sampler, mesh=gm.mesh(), **settings)
    for name in ("a", "b"):
        np.testing.assert_allclose(alone["posterior"][name], shared["posterior"][name], rtol=1e-6)
