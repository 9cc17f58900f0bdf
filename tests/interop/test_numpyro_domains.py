import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.integrate
import scipy.stats as st
from numpyro import handlers
from numpyro.infer.util import log_density

import gmdsl as gm


def coin(y):
    a = numpyro.sample("a", dist.HalfNormal(1.0))
    with numpyro.plate("n", len(y)):
        numpyro.sample("y", dist.Bernoulli(a), obs=y)


def count(y):
    a = numpyro.sample("a", dist.HalfNormal(1.0))
    numpyro.sample("y", dist.Binomial(10, probs=a), obs=y)


def rate(y):
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Poisson(a), obs=y)


def scale(y):
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(0.0, a), obs=y)


@pytest.mark.parametrize(
    ("model", "y", "inside", "outside"),
    [(coin, jnp.array([1, 1]), 0.5, 1.2), (count, 10, 0.5, 1.2), (rate, 2, 0.5, -1.2), (scale, 2.0, 0.5, -1.2)],
)
def test_a_parameter_outside_of_its_domain_has_no_density(model, y, inside, outside, x64):
    density = gm.compile(gm.from_numpyro_model(model, y))
    theirs, _ = log_density(handlers.seed(model, 0), (y,), {}, {"a": inside})
    np.testing.assert_allclose(density.log_density({"a": inside}), theirs, rtol=1e-12)
    assert float(density.log_density({"a": outside})) == -np.inf


def test_the_posterior_of_a_probability_ends_at_one(x64):
    """It has the prior and the likelihood a^2 on [0, 1], and nothing beyond."""
    found = gm.log_normalizer(gm.from_numpyro_model(coin, jnp.array([1, 1])))
    exact = scipy.integrate.quad(lambda a: 2 * st.norm.pdf(a) * a**2, 0, 1)[0]
    np.testing.assert_allclose(found.log_z, np.log(exact), atol=max(1e-6, 2 * float(found.error)))


@pytest.mark.parametrize(
    ("law", "named"),
    [
        (lambda a: dist.Categorical(jnp.stack([a, 1.0, 2.0])), r"probs of y .* \(simplex\). Divide by the sum"),
        (lambda a: dist.Categorical(jnp.array([2.0, 1.0, 1.0])), r"probs of y is .2. 1. 1.."),
        (lambda a: dist.Multinomial(1, probs=jnp.stack([a, 1.0])).to_event(0), "probs of y"),
        (lambda a: dist.Bernoulli(1.2), r"probs of y is 1.2, outside of its constraint \(unitinterval\)"),
    ],
)
@pytest.mark.parametrize("validate", [True, False])
def test_what_is_outside_anyway_is_refused_by_name(law, named, validate):
    def model():
        a = numpyro.sample("a", dist.HalfNormal(1.0))
        numpyro.sample("y", law(a))

    with numpyro.validation_enabled(validate), pytest.raises(gm.SpecError, match=named):
        gm.from_numpyro_model(model)


def test_parameters_that_are_proved_inside_are_not_guarded():
    def model(y):
        s = numpyro.sample("s", dist.HalfNormal(1.0))
        p = numpyro.sample("p", dist.Dirichlet(jnp.ones(3)))
        numpyro.sample("k", dist.Categorical(p), obs=1)
        numpyro.sample("y", dist.Normal(0.0, s), obs=y)

    assert gm.from_numpyro_model(model, 1.0).factors[0].guarded == ()
    assert gm.from_numpyro_model(scale, 1.0).factors[0].guarded == ("scale",)


def test_masked_elements_of_a_label_are_summed_as_the_joint_counts_them(x64):
    keep, y = jnp.array([True, False, True]), jnp.array([0.3, 0.1, 1.0])

    def model(y):
        p = numpyro.sample("p", dist.Beta(2.0, 2.0))
        with numpyro.plate("n", 3), handlers.mask(mask=keep):
            k = numpyro.sample("k", dist.Bernoulli(p), infer={"enumerate": "parallel"})
            numpyro.sample("y", dist.Normal(1.0 * k, 1.0), obs=y)

    built = gm.from_numpyro_model(model, y)
    states = [jnp.array([i, j, k]) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    theirs = [log_density(handlers.seed(model, 0), (y,), {}, {"p": 0.3, "k": state})[0] for state in states]
    ours = [gm.compile(built).log_density({"p": 0.3, "k": state}) for state in states]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    summed = gm.compile(built.marginalize("k")).log_density({"p": 0.3})
    np.testing.assert_allclose(summed, jax.nn.logsumexp(jnp.stack(theirs)), rtol=1e-12)


def test_a_latent_site_that_a_block_hides_is_refused_with_the_reason():
    def model(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        with handlers.block(hide=["z"]):
            z = numpyro.sample("z", dist.Normal(mu, 1.0))
        numpyro.sample("y", dist.Normal(z, 1.0), obs=y)

    with pytest.raises(gm.SpecError, match=r"a site that handlers.block hides"):
        gm.from_numpyro_model(model, 1.0)
