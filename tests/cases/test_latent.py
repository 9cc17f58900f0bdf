"""Latent variables marginalised exactly, against densities computed in closed form elsewhere."""

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import gmdsl as gm
from gmdsl.exact.gaussian.from_model import gaussian_mixture
from tests.cases.scoring import load


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


@pytest.mark.usefixtures("x64")
def test_the_posterior_of_a_linear_latent_variable_is_the_known_gaussian():
    """Exactly, by the normal form of the conditioned model, for every datum."""
    case = load("latent", "ppca_5x2")
    model = factor_analysis(case.arrays)
    for datum, mean in zip(case.arrays["X"], case.arrays["post_mean"], strict=True):
        found = gaussian_mixture(model.condition(x=datum))
        assert found is not None
        np.testing.assert_allclose(found.means[0], mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.covariances[0], case.arrays["post_cov"], rtol=1e-9)


def test_nuts_finds_the_posterior_of_a_linear_latent_variable():
    """Two means and three second moments; |z| < 4.5 with their own effective sizes: false alarms 1 in 25,000."""
    case = load("latent", "ppca_5x2")
    model = factor_analysis(case.arrays).condition(x=case.arrays["X"][0])
    z = gm.sample(model, gm.NUTS(), draws=2000, progress=False)["posterior"]["z"].values
    gap = z - case.arrays["post_mean"][0]
    numbers = [gap[..., 0], gap[..., 1], *(gap[..., i] * gap[..., j] for i, j in ((0, 0), (0, 1), (1, 1)))]
    cov = case.arrays["post_cov"]
    for values, truth in zip(numbers, [0.0, 0.0, cov[0, 0], cov[0, 1], cov[1, 1]], strict=True):
        ess = float(az.ess(values, method="mean"))
        assert ess > 2000
        assert abs(values.mean() - truth) < 4.5 * values.std() / np.sqrt(ess)
