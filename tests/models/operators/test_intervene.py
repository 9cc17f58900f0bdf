import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from tests.models.operators.test_factorize import chain


def test_an_intervention_is_not_an_observation(x64):
    """x -> y with Gaussian noise: seeing y = 3 moves x, setting it does not."""
    model = gm.joint(x=dist.Normal(0.0, 1.0), y=lambda x: dist.Normal(x, 1.0), z=lambda x, y: dist.Normal(x + y, 1.0))
    done = gm.compile(model.do(y=3.0))
    at = {"x": 0.4, "z": 2.0}
    by_hand = dist.Normal(0.0, 1.0).log_prob(0.4) + dist.Normal(3.4, 1.0).log_prob(2.0)
    np.testing.assert_allclose(float(done.log_density(at)), by_hand, rtol=1e-12)
    seen = float(gm.compile(model.condition(y=3.0)).log_density(at))
    np.testing.assert_allclose(seen - by_hand, dist.Normal(0.4, 1.0).log_prob(3.0), rtol=1e-12)
    assert model.do(y=3.0).capabilities().drawable
    assert done.with_data(y=1.0).log_density(at) != done.log_density(at)


def test_a_deterministic_can_be_set_too(x64):
    set_ = gm.compile(chain().do(m=jnp.array([5.0, 6.0])))
    at = {"a": 0.3, "b": jnp.array([5.0, 6.0]), "c": 11.0}
    by_hand = (
        dist.Normal(0, 1).log_prob(0.3) + 2 * dist.Normal(0, 1).log_prob(0.0) + dist.Normal(11.3, 0.5).log_prob(11)
    )
    np.testing.assert_allclose(float(set_.log_density(at)), by_hand, rtol=1e-12)


def test_interventions_that_mean_nothing_are_refused():
    with pytest.raises(gm.SpecError, match="Did you mean 'b'"):
        chain().do(B=1.0)
    with pytest.raises(gm.SpecError, match="no arrow leads to it"):
        gm.energy(lambda x: x**2, x=gm.Real()).do(x=1.0)
    with pytest.raises(gm.SpecError, match="observed already"):
        chain().condition(c=1.0).do(c=2.0)
    with pytest.raises(gm.SpecError, match=r"shape \(3,\), but b was declared \(2,\)"):
        chain().do(b=[1.0, 2.0, 3.0])
    with pytest.raises(gm.SpecError, match="outside the support"):
        gm.joint(s=dist.HalfNormal(1.0)).do(s=-1.0)


def test_seeing_moves_the_cause_and_setting_does_not(x64):
    """x ~ N(0, 1), y | x ~ N(x, 1): E[x | y = 3] = 3/2, and E[x | do(y = 3)] = 0."""
    model = gm.joint(x=dist.Normal(0.0, 1.0), y=lambda x: dist.Normal(x, 1.0))
    np.testing.assert_allclose(gm.expectation(model.condition(y=3.0), lambda v: v["x"]).value, 1.5, rtol=1e-8)
    np.testing.assert_allclose(gm.expectation(model.do(y=3.0), lambda v: v["x"]).value, 0.0, atol=1e-8)
    evidence = float(dist.Normal(0.0, np.sqrt(2.0)).log_prob(3.0))
    np.testing.assert_allclose(gm.log_normalizer(model.condition(y=3.0)).log_z, evidence, rtol=1e-8)
    np.testing.assert_allclose(gm.log_normalizer(model.do(y=3.0)).log_z, 0.0, atol=1e-8)
