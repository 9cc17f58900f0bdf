import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diffusion.effective_noise import effective_sigma, effective_time, expected_centre

X = jnp.array([0.9, -0.4])


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(5.0), gm.Brownian(2.0)], ids=lambda p: type(p).__name__)
def test_the_centre_of_one_gaussian_is_its_mean_wherever_the_point_is(process, x64):
    mean = jnp.array([1.0, -2.0])
    family = gm.noise(gm.joint(x=dist.MultivariateNormal(mean, 0.09 * jnp.eye(2))), process).flat
    for t in (0.01, 0.3, 0.9):
        np.testing.assert_allclose(expected_centre(family, X, t, 0.3), mean, rtol=1e-9)


def test_of_a_mixture_it_is_the_denoiser_of_the_centres_under_more_noise(x64):
    centres, probs = jnp.array([[1.0, 0.0], [-1.0, 0.5]]), jnp.array([0.3, 0.7])
    parts = dist.MultivariateNormal(centres, 0.25 * jnp.eye(2))
    family = gm.noise(gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=probs), parts)), gm.EDM(5.0)).flat
    logits = jnp.log(probs) - 0.5 * jnp.sum((X - centres) ** 2, axis=1) / (0.8**2 + 0.25)
    weights = jnp.exp(logits) / jnp.exp(logits).sum()
    np.testing.assert_allclose(expected_centre(family, X, 0.8, 0.5), weights @ centres, rtol=1e-9)


def test_without_a_width_it_is_the_denoiser_and_log_snr():
    process = gm.VP()
    family = gm.noise(gm.joint(x=dist.Normal(jnp.zeros(2), 1.0).to_event(1)), process).flat
    np.testing.assert_allclose(expected_centre(family, X, 0.4, 0.0), family.denoise(X, 0.4))
    np.testing.assert_allclose(
        effective_time(process, 0.4, 0.0), jnp.log(process.alpha(0.4) / process.sigma(0.4)), rtol=1e-5
    )
    assert float(effective_time(process, 0.0, 0.0)) == np.inf


def test_time_and_scale_say_the_same(x64):
    process = gm.VP()
    wanted = process.alpha(0.2) * jnp.exp(-effective_time(process, 0.2, 0.3))
    np.testing.assert_allclose(effective_sigma(process, 0.2, 0.3), wanted, rtol=1e-10)
