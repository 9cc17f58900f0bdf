import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.diffusion.energy_matching import posterior_mean
from gmdsl.inference.weights import Particles

MEAN, SCALE = np.array([0.7, -0.4]), 0.6


def target():
    energy = gm.energy(lambda x, m: 0.5 * jnp.sum(((x - m) / SCALE) ** 2), x=gm.Real(2), m=gm.data(MEAN))
    return gm.compile(energy).target


def wide(key, n, scale=2.0):
    """Points of N(0, scale^2 I) with the weights of the target."""
    x = scale * jax.random.normal(key, (n, 2))
    log_q = -0.5 * jnp.sum((x / scale) ** 2, axis=1) - 2 * np.log(scale * np.sqrt(2 * np.pi))
    return Particles(x, jax.vmap(target().log_density)(x) - log_q)


def exact(process, x, t):
    """E[x_0 | x_t] of N(m, s^2)."""
    alpha, sigma = process.alpha(t), process.sigma(t)
    gain = alpha * SCALE**2 / (alpha**2 * SCALE**2 + sigma**2)
    return MEAN + gain * (x - alpha * MEAN)


@pytest.mark.parametrize("process", [gm.VP(), gm.VE(0.01, 10.0)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("level", [0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0])
def test_the_estimate_is_the_posterior_mean_at_every_level_of_noise(process, level, x64):
    """At a typical noised point, over 60 populations and sets of noise: the root mean square error is below 6 % of the
    posterior's spread or of the scale of the target, whatever is larger, and the bias within 4.5 standard errors of it
    plus 1 % (self-normalised weights are biased by one over their number)."""
    t = process.time_at(jnp.asarray(level))
    x = process.noisy(jnp.asarray(MEAN + 0.5 * SCALE), jnp.array([0.8, -1.1]), t)

    @jax.jit
    def estimate(key):
        key_wide, key_noise = jax.random.split(key)
        return posterior_mean(
            target(), process, wide(key_wide, 4096), jax.random.normal(key_noise, (512, 2)), x, t
        ) - exact(process, x, t)  # fmt: skip

    errors = np.stack([estimate(jax.random.key(k)) for k in range(60)]) / SCALE
    bias, spread = errors.mean(0), errors.std(0)
    assert np.sqrt((errors**2).mean()) < 0.06
    assert (np.abs(bias) < 4.5 * spread / np.sqrt(60) + 0.01).all()


def test_with_little_noise_a_population_of_no_use_does_no_harm(x64):
    """The points of the population are far away; the estimate from the energy is exact to a tenth of the noise."""
    process, t = gm.VE(0.01, 10.0), jnp.asarray(0.1)
    x = jnp.array([0.5, 0.1])
    noise = jax.random.normal(jax.random.key(0), (2000, 2))
    far = Particles(50.0 + jnp.arange(10.0).reshape(5, 2), jnp.zeros(5))
    found = posterior_mean(target(), process, far, noise, x, t)
    np.testing.assert_allclose(found, exact(process, x, t), atol=0.1 * float(process.sigma(t)))


def test_where_the_energy_is_not_a_number_there_is_no_density(x64):
    """A half line: log x is NaN below zero. E[x_0 | x_t] of the exponential law is a truncated normal's mean."""
    half = gm.compile(gm.energy(lambda x: jnp.sum(x + 0.0 * jnp.log(x)), x=gm.Real(1))).target
    process, t = gm.VE(0.1, 10.0), jnp.asarray(0.5)
    assert float(process.sigma(t)) == pytest.approx(1.0)
    noise = jax.random.normal(jax.random.key(0), (200_000, 1))
    nothing = Particles(jnp.zeros((3, 1)), jnp.full(3, -jnp.inf))
    found = posterior_mean(half, process, nothing, noise, jnp.array([0.5]), t)
    grid = np.linspace(0.0, 12.0, 100_001)
    weight = np.exp(-grid - 0.5 * (grid - 0.5) ** 2)
    np.testing.assert_allclose(found, np.trapezoid(weight * grid, grid) / np.trapezoid(weight, grid), rtol=0.02)
