"""Latent variables marginalised exactly, against densities computed in closed form elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import gmdsl as gm

from .scoring import load


def factor_analysis(arrays):
    """z ~ N(0, 1), x ~ N(W z + mu, diag(psi))."""
    return gm.joint(
        W=gm.data(arrays["W"]),
        mu=gm.data(arrays["mu"]),
        psi=gm.data(arrays["psi"]),
        z=dist.Normal(0.0, 1.0).expand([arrays["W"].shape[1]]),
        mean=lambda W, z, mu: W @ z + mu,
        x=lambda mean, psi: dist.Normal(mean, jnp.sqrt(psi)),
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["ppca_5x2", "factor_4x2"])
def test_the_marginal_of_a_linear_latent_variable_is_exact(name):
    case = load("latent", name)
    density = gm.compile(factor_analysis(case.arrays).marginalize("z"))
    found = jax.vmap(lambda x: density.log_density({"x": x}))(case.arrays["X"])
    np.testing.assert_allclose(found, case.arrays["logp"], rtol=1e-9)
    assert float(found.sum()) == pytest.approx(case.meta["total_loglik"], rel=1e-9)


@pytest.mark.usefixtures("x64")
def test_a_published_mixture_written_with_its_labels_equals_every_pin():
    case = load("posterior", "pdb_low_dim_gauss_mix")
    labelled = gm.joint(
        mu=dist.Normal(0.0, 2.0).expand([2]),
        sigma=dist.HalfNormal(2.0).expand([2]),
        theta=dist.Beta(5.0, 5.0),
        k=lambda theta: dist.Categorical(jnp.stack([theta, 1.0 - theta])).expand([1000]),
        y=lambda k, mu, sigma: dist.Normal(mu[k], sigma[k]),
    )
    ordered = gm.joint(mu=dist.ImproperUniform(constraints.ordered_vector, (), (2,)))
    density = gm.compile((labelled.marginalize("k") * ordered).condition(y=case.meta["data"]["y"]))
    assert "  k: summed out element by element, 2 states" in density.explain().splitlines()
    for pin in case.meta["log_density_pins"]:
        point = {name: value for name, value in pin.items() if name != "log_density"}
        assert float(density.log_density(point)) == pytest.approx(pin["log_density"], rel=1e-9, abs=0.0)
