import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
from gmdsl.learning.learnable import learnable


def swish(a):
    return a / (1 + np.exp(-a))


def forward(network, z):
    h = np.asarray(z)
    for layer in network.layers[:-1]:
        h = swish(np.asarray(layer.weight) @ h + np.asarray(layer.bias))
    return np.asarray(network.layers[-1].weight) @ h + np.asarray(network.layers[-1].bias)


def autoencoder(decoder):
    return gm.joint(z=dist.Normal(0, 1).expand([2]).to_event(1), x=gm.given("z", decoder))


@pytest.mark.parametrize("scale", [None, 0.3])
def test_the_log_density_is_the_formula(x64, scale):
    decoder = gm.nets.GaussianDecoder(2, (3, 2), width=6, scale=scale, key=jax.random.key(0))
    z, x = np.array([0.4, -1.2]), np.linspace(-1, 2, 6).reshape(3, 2)
    sigma = 1.0 if scale is None else scale
    residual = (x.ravel() - forward(decoder.mean, z)) / sigma
    expected = -0.5 * residual @ residual - 6 * np.log(sigma) - 3 * np.log(2 * np.pi)
    expected += -0.5 * z @ z - np.log(2 * np.pi)
    density = gm.compile(autoencoder(decoder))
    np.testing.assert_allclose(density.log_density({"z": z, "x": x}), expected, rtol=1e-12)


def test_the_bits_have_the_log_density_of_the_formula(x64):
    decoder = gm.nets.BernoulliDecoder(2, 4, width=6, depth=1, key=jax.random.key(0))
    z, x = np.array([0.4, -1.2]), np.array([1, 0, 0, 1])
    p = 1 / (1 + np.exp(-forward(decoder.logits, z)))
    expected = np.sum(np.log(np.where(x == 1, p, 1 - p)))
    np.testing.assert_allclose(decoder(z).log_prob(x), expected, rtol=1e-12)
    model = autoencoder(decoder)
    assert isinstance(model.spaces["x"], gm.Binary)
    assert model.spaces["x"].shape == (4,)


def test_draws_have_the_mean_and_scale_of_the_network():
    decoder = gm.nets.GaussianDecoder(2, 5, scale=0.5, key=jax.random.key(0))
    model = autoencoder(decoder)
    draws = model.sample(jax.random.key(1), 4000)
    residual = np.asarray(draws["x"] - jax.vmap(lambda z: decoder(z).mean)(draws["z"]))
    np.testing.assert_allclose(residual.mean(axis=0), 0.0, atol=5 * 0.5 / np.sqrt(4000))
    np.testing.assert_allclose(residual.std(axis=0), 0.5, atol=5 * 0.5 / np.sqrt(8000))


def test_the_weights_and_the_learned_scale_are_learned_and_nothing_else():
    for scale, extra in [(None, 1), (0.1, 0)]:
        decoder = gm.nets.GaussianDecoder(2, 5, depth=2, scale=scale, key=jax.random.key(0))
        assert sum(jax.tree.leaves(learnable(autoencoder(decoder)))) == 3 * 2 + extra
    marks = learnable(autoencoder(gm.nets.GaussianDecoder(2, 5, key=jax.random.key(0))).condition(x=np.zeros(5)))
    assert marks.factors[1].call.function.log_scale is True
    assert marks.observed["x"] is False


def test_maximum_likelihood_finds_the_learned_scale():
    """With z at zero for every datum, the best scale is the standard deviation of the data about their mean."""
    x = np.random.default_rng(0).normal([1.0, -1.0], 0.3, (400, 2))
    decoder = gm.nets.GaussianDecoder(1, 2, width=4, depth=0, key=jax.random.key(0))
    model = gm.joint(z=gm.data([0.0]), x=gm.given("z", decoder))
    fit = gm.fit(model, {"x": x}, gm.MaximumLikelihood(), optimizer=optax.adam(0.02), steps=600, progress=False)
    found = fit.model.factors[0].call.function
    np.testing.assert_allclose(found.scale, np.sqrt(((x - x.mean(axis=0)) ** 2).mean()), rtol=1e-3)
    np.testing.assert_allclose(found(jnp.zeros(1)).mean, x.mean(axis=0), atol=1e-3)


def test_the_posterior_of_a_linear_decoder_is_the_known_gaussian():
    """x = W z + b + noise: z given x has precision I + W'W / s^2."""
    decoder = gm.nets.GaussianDecoder(2, 5, depth=0, scale=0.5, key=jax.random.key(0))
    layer, x = decoder.mean.layers[0], np.array([1.0, -0.5, 0.3, 0.8, -1.0])
    weight, bias = np.asarray(layer.weight), np.asarray(layer.bias)
    covariance = np.linalg.inv(np.eye(2) + weight.T @ weight / 0.25)
    mean = covariance @ weight.T @ (x - bias) / 0.25
    posterior = autoencoder(decoder).condition(x=x)
    tree = gm.sample(posterior, gm.NUTS(), chains=2, draws=1000, warmup=300, seed=0, progress=False)
    z = np.asarray(tree.posterior["z"]).reshape(-1, 2)
    error = np.sqrt(np.diag(covariance) / 500)  # at least 500 effective draws out of 2000
    assert np.all(np.abs(z.mean(axis=0) - mean) < 4 * error)
    np.testing.assert_allclose(np.cov(z.T), covariance, atol=0.1 * covariance.max())


def test_a_single_number_can_be_latent_and_datum():
    decoder = gm.nets.GaussianDecoder((), (), width=4, key=jax.random.key(0))
    model = gm.joint(z=dist.Normal(0, 1), x=gm.given("z", decoder))
    assert model.spaces["x"] == gm.Real()
    assert model.sample(jax.random.key(0), 3)["x"].shape == (3,)


def test_bad_arguments_are_errors_that_name_them():
    key = jax.random.key(0)
    for make, text in [
        (lambda: gm.nets.GaussianDecoder(2, 5, scale=0.0, key=key), r"GaussianDecoder\(scale=0.0\).*above 0"),
        (lambda: gm.nets.GaussianDecoder(2, 5, scale=np.ones(5), key=key), r"scale=array.*one number"),
        (lambda: gm.nets.GaussianDecoder(0, 5, key=key), r"GaussianDecoder\(latent=0\)"),
        (lambda: gm.nets.BernoulliDecoder(2, 0, key=key), r"BernoulliDecoder\(size=0\)"),
        (lambda: gm.nets.BernoulliDecoder(2, 5, width=0, key=key), r"BernoulliDecoder\(width=0\)"),
    ]:
        with pytest.raises(gm.SpecError, match=text):
            make()
    with pytest.raises(gm.SpecError, match=r"GaussianDecoder\(z\): shape \(3,\), but z was declared \(2,\)"):
        gm.joint(z=dist.Normal(0, 1).expand([3]), x=gm.given("z", gm.nets.GaussianDecoder(2, 5, key=key)))
