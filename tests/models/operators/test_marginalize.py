import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def school():
    return gm.joint(
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfCauchy(5.0),
        theta=lambda mu, tau: dist.Normal(mu, tau).expand([3]),
        best=lambda theta: jnp.max(theta),
        y=lambda theta, sigma: dist.Normal(theta, sigma),
        sigma=gm.data([1.0, 2.0, 3.0]),
        dims={"theta": ["school"], "y": ["school"]},
        coords={"school": ["a", "b", "c"]},
    )


def test_effects_are_integrated_out_of_observed_children(x64):
    y = np.array([1.0, -2.0, 4.0])
    posterior = school().condition(y=y).marginalize("theta")
    density = gm.compile(posterior)
    assert density.free == ("mu", "tau")
    assert posterior.deterministic == ()
    assert posterior.dims == (("y", ("school",)),)
    prior = stats.norm.logpdf(0.3, 0.0, 5.0) + stats.halfcauchy.logpdf(2.0, 0.0, 5.0)
    truth = prior + stats.norm.logpdf(y, 0.3, np.sqrt(4.0 + np.array([1.0, 4.0, 9.0]))).sum()
    np.testing.assert_allclose(density.log_density({"mu": 0.3, "tau": 2.0}), truth, rtol=1e-6)
    same = gm.compile(school().marginalize("theta").condition(y=y))
    np.testing.assert_allclose(same.log_density({"mu": 0.3, "tau": 2.0}), truth, rtol=1e-6)


def test_variables_that_no_factor_joins_are_integrated_apart():
    model = gm.joint(
        a=dist.Normal(0.0, 1.0),
        b=dist.Bernoulli(0.5),
        x=lambda a: dist.Normal(a, 1.0),
        y=lambda b: dist.Normal(b, 1.0),
    ).marginalize("a", "b")
    assert [factor.name for factor in model.factors] == ["p(x)", "p(y)"]


def test_labels_above_gaussians_are_summed_after_the_gaussians_are_integrated(x64):
    model = gm.joint(
        k=dist.Bernoulli(0.3),
        z=lambda k: dist.Normal(4.0 * k, 1.0 + k),
        x=lambda z, k: dist.Normal(z, 1.0),
    ).marginalize("k", "z")
    truth = np.log(0.7 * stats.norm.pdf(1.0, 0.0, np.sqrt(2.0)) + 0.3 * stats.norm.pdf(1.0, 4.0, np.sqrt(5.0)))
    np.testing.assert_allclose(gm.compile(model).log_density({"x": 1.0}), truth, rtol=1e-6)


def test_a_variable_of_a_mixture_is_hidden_in_each_part(x64):
    def part(m):
        return gm.joint(x=dist.Normal(m, 1.0), y=lambda x: dist.StudentT(3.0, x**2, 1.0))

    model = gm.mixture([0.3, 0.7], part(-1.0), part(2.0)).marginalize("y")
    truth = np.log(0.3 * stats.norm.pdf(0.5, -1.0) + 0.7 * stats.norm.pdf(0.5, 2.0))
    np.testing.assert_allclose(gm.compile(model).log_density({"x": 0.5}), truth, rtol=1e-12)
    np.testing.assert_allclose(model.responsibilities(0.5).sum(), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        (school(), "thet", r"there is no 'thet'; the variables are mu, tau, theta, y. Did you mean 'theta'\?"),
        (school(), "best", "best is computed from mu, tau, theta(.|\n)*what is computed from it goes with it"),
        (school().condition(y=jnp.zeros(3)), "y", "y is observed, a number here"),
        (school(), "sigma", "sigma has no distribution in this model"),
        (gm.joint(x=dist.Normal(0.0, 1.0)), "x", "no variable would be left"),
        (school(), "mu", r"linear-Gaussian.*: .*gm.sample(.|\n)*gm.log_marginal(.|\n)*gm.AIS(.|\n)*gm.ELBO"),
    ],
)
def test_what_cannot_be_marginalised_is_refused(model, name, message):
    with pytest.raises(gm.SpecError, match=message):
        (model * gm.energy(lambda mu: mu**4, mu=gm.Real()) if name == "mu" else model).marginalize(name)
