import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.exact.gaussian.from_model import gaussian_mixture

W = np.array([[1.0, 2.0], [0.0, -1.0], [0.5, 0.5]])


def check(model, point):
    """The mixture has the density of the model."""
    form = gaussian_mixture(model)
    flat = jnp.concatenate([jnp.ravel(jnp.asarray(point[name], float)) for name in model.free])
    np.testing.assert_allclose(form.log_density(flat), gm.compile(model).log_density(point), rtol=1e-6)
    np.testing.assert_allclose(jax.nn.logsumexp(form.log_weights), 0.0, atol=1e-7)
    return form


def test_independent_gaussians_stand_side_by_side_in_the_order_of_free(x64):
    model = gm.joint(b=dist.Normal(1.0, 2.0).expand([2]), a=dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2)))
    form = check(model, {"b": jnp.array([1.0, 2.0]), "a": jnp.array([0.1, -0.3])})
    np.testing.assert_allclose(form.means, [[1.0, 1.0, 0.0, 0.0]])
    np.testing.assert_allclose(jnp.diag(form.covariances[0]), [4.0, 4.0, 1.0, 1.0])


def test_chains_through_computed_values_data_and_parameters_are_read(x64):
    model = gm.joint(
        x=lambda mean: dist.Normal(mean, 0.5),
        mean=lambda W, z, shift: W @ z + shift,
        W=gm.data(W),
        shift=gm.param(0.25),
        z=lambda scale: dist.Normal(0.0, scale).expand([2]),
        scale=2.0,
    )
    form = check(model, {"x": jnp.array([0.1, 0.2, 0.3]), "z": jnp.array([1.0, -1.0])})
    np.testing.assert_allclose(form.covariances[0, :3, :3], 4.0 * W @ W.T + 0.25 * np.eye(3), rtol=1e-6)
    np.testing.assert_allclose(form.means[0], [0.25, 0.25, 0.25, 0.0, 0.0], rtol=1e-6)


def test_mixtures_in_distributions_and_of_models_and_their_products_are_components(x64):
    labels = dist.Categorical(jnp.array([0.25, 0.75]))
    one = gm.joint(x=dist.MixtureSameFamily(labels, dist.Normal(jnp.array([-1.0, 1.0]), 1.0)))
    both = gm.mixture([0.5, 0.5], one, gm.joint(x=dist.Normal(4.0, 0.5)))
    assert len(check(both, {"x": 0.3}).means) == 3
    product = both * gm.joint(x=gm.input(gm.Real()), y=lambda x: dist.Normal(3.0 * x, 1.0)) * one.rename(x="z")
    assert len(check(product, {"x": 0.3, "y": 1.0, "z": -0.5}).means) == 6


def test_a_mixture_whose_parts_hold_a_chain_and_read_an_input(x64):
    def part(slope):
        return gm.joint(u=gm.input(gm.Real()), a=lambda u: dist.Normal(slope * u, 1.0), b=lambda a: dist.Normal(a, 1.0))

    model = gm.joint(u=dist.Normal(0.0, 1.0)) * gm.mixture([0.3, 0.7], part(1.0), part(-2.0))
    assert len(check(model, {"u": 0.5, "a": 1.0, "b": -1.0}).means) == 2


def test_given_observed_values_it_is_the_posterior(x64):
    model = gm.joint(z=dist.Normal(1.0, 1.0), k=dist.Poisson(3.0), x=lambda z: dist.Normal(2.0 * z, 1.0))
    form = gaussian_mixture(model.condition(x=3.0, k=2))
    np.testing.assert_allclose(form.covariances, [[[1.0 / (1.0 + 4.0)]]])
    np.testing.assert_allclose(form.means, [[(1.0 + 2.0 * 3.0) / 5.0]])


def test_it_is_traced_so_that_parameters_can_be_learned(x64):
    @jax.jit
    def mean(value):
        model = gm.joint(a=gm.data(np.zeros(1)), x=lambda a: dist.Normal(a + 1.0, 1.0))
        return gaussian_mixture(jax.tree.map(lambda leaf: value, model)).means

    np.testing.assert_allclose(mean(jnp.array([2.0])), [[3.0]])


@pytest.mark.parametrize(
    "model",
    [
        gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(a**2, 1.0)),
        gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(jnp.sign(a), 1.0)),
        gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(0.0, 1.0 + a**2)),
        gm.joint(a=dist.HalfNormal(1.0)),
        gm.joint(a=dist.Cauchy(0.0, 1.0)),
        gm.joint(k=dist.Bernoulli(0.5), a=lambda k: dist.Normal(k, 1.0)),
        gm.energy(lambda x: x @ x, x=gm.Real(2)),
        gm.joint(x=dist.Normal(0.0, 1.0)) * gm.energy(lambda x: x**2, x=gm.Real()),
        gm.joint(x=dist.Normal(0.0, 1.0)) * gm.joint(x=dist.Normal(1.0, 1.0)),
        gm.joint(u=gm.input(gm.Real()), x=lambda u: dist.Normal(u, 1.0)),
        gm.joint(a=dist.Normal(0.0, 1.0), k=lambda a: dist.Bernoulli(logits=a)).condition(k=1),
    ],
)
def test_what_is_no_gaussian_mixture_is_not_recognised(model):
    assert gaussian_mixture(model) is None
