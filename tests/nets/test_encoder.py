import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import multivariate_normal

import gmdsl as gm
from gmdsl.learning.learnable import learnable


def network(encoder, x):
    h = np.asarray(x)
    for layer in encoder.network.layers[:-1]:
        a = np.asarray(layer.weight) @ h + np.asarray(layer.bias)
        h = a / (1 + np.exp(-a))
    return np.asarray(encoder.network.layers[-1].weight) @ h + np.asarray(encoder.network.layers[-1].bias)


def test_the_log_density_of_independent_coordinates_is_the_formula(x64):
    encoder = gm.nets.GaussianEncoder((2, 2), 3, width=7, key=jax.random.key(0))
    x, z = np.array([[0.1, -2.0], [1.0, 0.4]]), np.array([0.3, 0.0, -1.0])
    out = network(encoder, x.ravel())
    mean, scale = out[:3], np.log1p(np.exp(out[3:]))
    expected = np.sum(-0.5 * ((z - mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(encoder(x).log_prob(z), expected, rtol=1e-12)


def test_the_log_density_of_a_full_covariance_is_the_formula(x64):
    encoder = gm.nets.GaussianEncoder(4, 3, width=7, full=True, key=jax.random.key(0))
    x, z = np.array([0.1, -2.0, 1.0, 0.4]), np.array([0.3, 0.0, -1.0])
    out = network(encoder, x)
    assert out.shape == (9,)
    a, b, c = np.log1p(np.exp(out[3:6]))
    lower = np.array([[a, 0, 0], [out[6], b, 0], [out[7], out[8], c]])
    np.testing.assert_allclose(encoder(x).scale_tril, lower, rtol=1e-12)
    expected = multivariate_normal(out[:3], lower @ lower.T).logpdf(z)
    np.testing.assert_allclose(encoder(x).log_prob(z), expected, rtol=1e-10)


def test_a_full_covariance_can_become_any_covariance(x64):
    """Fitted to one Gaussian by its log-density, the encoder reaches its covariance, off the diagonal too."""
    goal = np.array([[1.0, 0.8], [0.8, 2.0]])
    draws = np.random.default_rng(0).multivariate_normal([1.0, -1.0], goal, 500)
    encoder = gm.nets.GaussianEncoder(1, 2, depth=0, full=True, key=jax.random.key(0))
    model = gm.joint(x=gm.data([1.0]), z=gm.given("x", encoder))
    adam = optax.adam(0.05)
    fit = gm.fit(model, {"z": draws}, gm.MaximumLikelihood(), optimizer=adam, steps=600, progress=False)
    found = fit.model.factors[0].call.function(jnp.ones(1)).covariance_matrix
    np.testing.assert_allclose(found, np.cov(draws.T, bias=True), rtol=1e-3)


def test_it_is_a_conditional_of_a_model_and_its_weights_are_learned():
    encoder = gm.nets.GaussianEncoder(5, 2, key=jax.random.key(0))
    guide = gm.joint(x=gm.input(gm.Real(5)), z=gm.given("x", encoder))
    assert guide.spaces["z"] == gm.Real(2)
    assert sum(jax.tree.leaves(learnable(guide))) == 3 * 2
    x, z = jnp.arange(5.0), jnp.array([0.1, 0.2])
    density = gm.compile(guide.condition(x=x))
    np.testing.assert_allclose(density.log_density({"z": z}), encoder(x).log_prob(z), rtol=1e-6)


def test_draws_have_the_mean_and_scale_of_the_network():
    encoder = gm.nets.GaussianEncoder(5, 2, key=jax.random.key(0))
    guide = gm.joint(x=gm.data(jnp.arange(5.0)), z=gm.given("x", encoder))
    z = np.asarray(guide.sample(jax.random.key(1), 4000)["z"])
    out = network(encoder, np.arange(5.0))
    scale = np.log1p(np.exp(out[2:]))
    assert np.all(np.abs(z.mean(axis=0) - out[:2]) < 4 * scale / np.sqrt(4000))
    np.testing.assert_allclose(z.std(axis=0), scale, rtol=4 / np.sqrt(8000))


def test_bad_arguments_are_errors_that_name_them():
    key = jax.random.key(0)
    with pytest.raises(gm.SpecError, match=r"full=True\): latent was declared \(2, 2\).*Declare latent=4"):
        gm.nets.GaussianEncoder(5, (2, 2), full=True, key=key)
    with pytest.raises(gm.SpecError, match=r"GaussianEncoder\(latent=0\)"):
        gm.nets.GaussianEncoder(5, 0, key=key)
    with pytest.raises(gm.SpecError, match=r"GaussianEncoder\(x\): shape \(4,\), but x was declared \(5,\)"):
        gm.nets.GaussianEncoder(5, 2, key=key)(jnp.zeros(4))
    assert gm.nets.GaussianEncoder(5, (2, 2), key=key)(jnp.zeros(5)).event_shape == (2, 2)
