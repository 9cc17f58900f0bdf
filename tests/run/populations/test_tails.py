import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

import gmdsl as gm

NARROW = dist.Normal(0.0, 1.0)


def funnel():
    return gm.joint(v=dist.Normal(0.0, 3.0), x=lambda v: dist.Normal(0.0, jnp.exp(v / 2)).expand([9]))


@pytest.mark.parametrize("target", [dist.Normal(0.0, 3.0), dist.StudentT(3.0, 0.0, 1.0), dist.Laplace(0.0, 1.0)])
def test_a_target_with_heavier_tails_is_suspect(target):
    path = gm.temper(gm.joint(x=target), gm.joint(x=NARROW))
    for seed in range(3):
        found = gm.log_z(path, gm.ImportanceSampling(1000), seed=seed)
        assert "x" in found.outgrown
        assert found.status == gm.check(found).status == "suspect"


def test_the_funnel_is_suspect_whatever_the_weights_say():
    path = gm.temper(funnel(), gm.joint(v=NARROW, x=NARROW.expand([9])))
    sampler = gm.AIS(gm.HMC(steps=5), particles=100, temperatures=20)
    assert all(gm.log_z(path, sampler, seed=seed).status == "suspect" for seed in range(5))
    tree = gm.sample(path, sampler, seed=1)
    assert "heavier tails" in gm.check(tree)["weights"].evidence


@pytest.mark.parametrize("target", [dist.Normal(0.5, 1.0), dist.Normal(0.0, 0.5), dist.Normal(0.0, 1.2)])
def test_a_target_whose_weights_have_a_variance_is_not(target):
    path = gm.temper(gm.joint(x=target), gm.joint(x=NARROW))
    assert gm.log_z(path, gm.ImportanceSampling(1000)).outgrown == ""


def test_a_posterior_is_not_wider_than_its_prior():
    model = gm.joint(z=dist.Normal(0.0, 2.0), s=dist.Exponential(1.0), x=lambda z, s: dist.Normal(z, s).expand([3]))
    found = gm.log_marginal(model, x=jnp.array([0.5, 1.0, 1.5]), method=gm.ImportanceSampling(2000))
    assert found.outgrown == ""


def test_discrete_coordinates_are_left_alone():
    model = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(3.0 * k, 1.0))
    found = gm.log_marginal(model, x=1.0, method=gm.ImportanceSampling(2000))
    assert (found.outgrown, found.status) == ("", "ok")
