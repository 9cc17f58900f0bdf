import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from gmdsl.exact.gaussian.from_distribution import normal_form

C = jnp.array([[2.0, 0.5], [0.5, 1.0]])
MIXING = dist.Categorical(jnp.array([0.2, 0.8]))

GAUSSIANS = [
    dist.Normal(1.0, 2.0),
    dist.Normal(jnp.arange(3.0), 2.0),
    dist.Normal(0.5, jnp.array([[1.0], [2.0]])).expand([3, 2, 2]).to_event(2),
    dist.MultivariateNormal(jnp.ones(2), C),
    dist.MultivariateNormal(jnp.arange(6.0).reshape(3, 2), C).to_event(1),
    dist.MultivariateNormal(jnp.ones(2), precision_matrix=C).expand([2, 3]),
    dist.LowRankMultivariateNormal(jnp.zeros(2), jnp.ones((2, 1)), jnp.array([1.0, 2.0])),
    dist.Normal(jnp.zeros(2), 1.0).to_event(1).expand([3]),
    dist.MixtureSameFamily(MIXING, dist.Normal(jnp.array([-1.0, 2.0]), jnp.array([0.5, 1.0]))),
    dist.MixtureSameFamily(MIXING, dist.MultivariateNormal(jnp.array([[-1.0, 0.0], [2.0, 1.0]]), C)),
    dist.MixtureSameFamily(MIXING, dist.Normal(jnp.array([-1.0, 2.0]), 1.0)).expand([3]),
    dist.MixtureSameFamily(
        dist.Categorical(logits=jnp.array([[0.0, 1.0], [2.0, 0.5]])), dist.Normal(jnp.arange(4.0).reshape(2, 2), 1.0)
    ),
    dist.MixtureGeneral(MIXING, [dist.Normal(-1.0, 1.0), dist.Normal(3.0, 2.0)]),
]


@pytest.mark.parametrize("distribution", GAUSSIANS)
def test_the_normal_form_has_the_density_of_the_distribution(distribution, x64):
    shape = (*distribution.batch_shape, *distribution.event_shape)
    x = jax.random.normal(jax.random.key(0), shape)
    form = normal_form(jax.tree.map(lambda leaf: jnp.asarray(leaf, float), distribution))
    np.testing.assert_allclose(form.log_density(x.ravel()), distribution.log_prob(x).sum(), rtol=1e-6)
    np.testing.assert_allclose(jax.nn.logsumexp(form.log_weights), 0.0, atol=1e-7)


@pytest.mark.parametrize(
    "distribution",
    [
        dist.Cauchy(0.0, 1.0),
        dist.LogNormal(0.0, 1.0),
        dist.StudentT(3.0, 0.0, 1.0),
        dist.Normal(0.0, 1.0).mask(False),
        dist.TruncatedNormal(0.0, 1.0, low=0.0),
        dist.MixtureSameFamily(MIXING, dist.Cauchy(jnp.zeros(2), 1.0)),
        dist.MixtureSameFamily(MIXING, dist.Normal(jnp.zeros(2), 1.0)).expand([40]),
        dist.Normal(0.0, 1.0).expand([10_000]),
    ],
)
def test_other_laws_and_too_many_components_have_none(distribution):
    assert normal_form(distribution) is None
