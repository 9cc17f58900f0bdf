import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def test_the_path_weighs_the_likelihood_by_beta(x64):
    joint = gm.joint(mu=dist.Normal(0.0, 2.0), y=lambda mu: dist.Normal(mu, 0.5).expand([3]))
    y = np.array([0.3, 1.0, -0.2])
    path = gm.temper_data(joint.condition(y=y))
    prior, likelihood = stats.norm.logpdf(0.7, 0.0, 2.0), stats.norm.logpdf(y, 0.7, 0.5).sum()
    for beta in (0.0, 0.25, 1.0):
        np.testing.assert_allclose(
            gm.compile(path.at(beta)).log_density({"mu": 0.7}), prior + beta * likelihood, rtol=1e-12
        )


def test_observed_parents_keep_their_values_in_the_prior(x64):
    joint = gm.joint(a=dist.Normal(0, 1), b=lambda a: dist.Normal(a, 1), c=lambda a, b: dist.Normal(a * b, 1))
    path = gm.temper_data(joint.condition(a=1.5, c=2.0))
    assert path.reference.free == ("b",)
    np.testing.assert_allclose(
        gm.compile(path.reference).log_density({"b": 0.4}), stats.norm.logpdf(0.4, 1.5, 1.0), rtol=1e-12
    )


def test_a_conditioned_joint_needs_no_path():
    joint = gm.joint(a=dist.Normal(0, 1), b=lambda a: dist.Normal(a, 1), c=lambda a, b: dist.Normal(a + b, 1))
    posterior = joint.condition(a=1.5, c=2.0)
    exact = stats.norm.logpdf(1.5) + stats.norm.logpdf(2.0, 3.0, np.sqrt(2.0))
    for sampler in (gm.SMC(gm.HMC(steps=4)), gm.AIS(gm.MALA(), temperatures=30)):
        found = gm.log_z(posterior, sampler)
        assert abs(found.log_z - exact) < 4.5 * found.standard_error < 0.5
    b = gm.sample(posterior, gm.SMC(gm.HMC(steps=4)))["posterior"]["b"].values
    assert abs(b.mean() - 1.0) < 4.5 * np.sqrt(0.5 / 500)  # N(1, 1/2)


def test_what_has_no_prior_is_refused():
    with pytest.raises(gm.SpecError, match="nothing is observed"):
        gm.temper_data(gm.joint(a=dist.Normal(0, 1)))
    with pytest.raises(gm.SpecError, match="nothing is free"):
        gm.temper_data(gm.joint(a=dist.Normal(0, 1)).condition(a=1.0))
    energy = gm.energy(lambda a, b: a**2 + (b - a) ** 2, a=gm.Real(), b=gm.Real())
    with pytest.raises(gm.SpecError, match="Name a normalised reference"):
        gm.temper_data(energy.condition(b=1.0))
    with pytest.raises(gm.SpecError, match="a model is needed"):
        gm.temper_data(jnp.zeros(3))
