import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp

import gmdsl as gm
from gmdsl.diffusion.energy_matching import posterior_mean
from gmdsl.inference.weights import Particles, combined, draw_points, effective_size

MEAN, SCALE = np.array([0.7, -0.4]), 0.6
LOG_Z = 2 * np.log(SCALE * np.sqrt(2 * np.pi))  # of exp(-|x - m|^2 / 2 s^2) in two dimensions


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


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
@pytest.mark.parametrize("sizes", [(500, 500), (300, 2000)])
def test_the_mean_weight_of_two_populations_as_one_is_z(share, sizes, x64):
    """Both mean weights estimate Z; so does the joined one, as their average with the given share."""
    first, second = wide(jax.random.key(0), sizes[0], 2.0), wide(jax.random.key(1), sizes[1], 1.0)
    both = combined(first, second, jnp.asarray(share))
    mean = lambda w: jnp.exp(logsumexp(w) - jnp.log(w.shape[0]))  # noqa: E731
    blend = (1 - share) * mean(first.log_weight) + share * mean(second.log_weight)
    np.testing.assert_allclose(mean(both.log_weight), blend, rtol=1e-10)
    assert both.x.shape == (sum(sizes), 2)
    part = jax.nn.softmax(both.log_weight)[sizes[0] :].sum()
    np.testing.assert_allclose(part, share * mean(second.log_weight) / blend, rtol=1e-10)


def test_joined_populations_are_unbiased_for_z_over_many(x64):
    """400 pairs; |z| < 4."""

    @jax.jit
    def one(key):
        key_first, key_second = jax.random.split(key)
        both = combined(wide(key_first, 200), wide(key_second, 300, 1.2), jnp.asarray(0.7))
        return logsumexp(both.log_weight) - jnp.log(500.0)

    weight = np.exp(np.array([one(jax.random.key(k)) for k in range(400)]) - LOG_Z)
    assert abs(weight.mean() - 1.0) < 4 * weight.std() / 20
    assert weight.std() < 0.3


def test_picked_points_follow_the_weights(x64):
    """Shares of four points over 100,000 draws, all |z| < 4.1: one false alarm in 6,000 seeds; no weight, no draw."""
    share = np.array([0.1, 0.0, 0.65, 0.25])
    population = Particles(jnp.arange(4.0)[:, None], jnp.log(jnp.asarray(share)) + 100.0)
    drawn = np.asarray(draw_points(jax.random.key(0), population, 100_000))[:, 0]
    found = np.bincount(drawn.astype(int), minlength=4) / 100_000
    assert found[1] == 0.0
    assert (np.abs(found - share) <= 4.1 * np.sqrt(share * (1 - share) / 100_000)).all()


def test_picked_points_of_a_weighted_population_have_the_law_of_the_target(x64):
    """20,000 of 200,000 weighted points; four |z| < 4.1."""
    x = np.asarray(draw_points(jax.random.key(1), wide(jax.random.key(0), 200_000), 20_000))
    assert (np.abs(x.mean(0) - MEAN) < 4.1 * SCALE / np.sqrt(20_000)).all()
    assert (np.abs(((x - MEAN) ** 2).mean(0) / SCALE**2 - 1.0) < 4.1 * np.sqrt(2 / 20_000)).all()


def test_the_effective_size_counts_equal_weights_and_ignores_none():
    assert float(effective_size(jnp.full(7, -300.0))) == pytest.approx(7.0, rel=1e-4)
    assert float(effective_size(jnp.array([0.0, -jnp.inf, -jnp.inf]))) == pytest.approx(1.0)
    assert float(effective_size(jnp.log(jnp.array([1.0, 3.0])))) == pytest.approx(16 / 10, rel=1e-5)
