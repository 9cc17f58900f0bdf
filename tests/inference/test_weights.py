import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp

import gmdsl as gm
from gmdsl.inference.weights import (
    Particles,
    combined,
    draw_points,
    effective_size,
    effective_size_on_host,
    log_mean_exp,
    normalized_weights,
    resampled,
    systematic,
    thinned,
)

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


def test_resampling_repeats_draws_by_their_weight():
    log_weight = np.log(np.array([0.1, 0.2, 0.7] + [1e-300] * 997))
    counts = np.bincount(resampled(log_weight, 0), minlength=1000)
    assert np.abs(counts[:3] - [100, 200, 700]).max() <= 1
    assert counts.sum() == 1000
    weight = np.random.default_rng(0).gamma(0.5, 1.0, 1000)
    counts = np.bincount(resampled(np.log(weight), 1), minlength=1000)
    assert np.abs(counts - 1000 * weight / weight.sum()).max() < 1.0 + 1e-6


def test_resampled_draws_are_shuffled_and_the_seed_fixes_them():
    log_weight = np.zeros(1000)
    first, again, other = (resampled(log_weight, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert sorted(first) == list(range(1000))
    assert abs(np.corrcoef(first, np.arange(1000))[0, 1]) < 0.15


def test_weights_of_minus_infinity_do_not_count():
    log_weight = np.array([-np.inf, 1000.0, 1000.0 + np.log(3.0), -np.inf])
    np.testing.assert_allclose(normalized_weights(log_weight), [0.0, 0.25, 0.75, 0.0], rtol=1e-12)
    np.testing.assert_allclose(effective_size_on_host(log_weight), 1.0 / (0.25**2 + 0.75**2), rtol=1e-12)
    nothing = np.full(3, -np.inf)
    assert normalized_weights(nothing).tolist() == [0.0, 0.0, 0.0]
    assert effective_size_on_host(nothing) == 0.0


def test_the_log_of_a_mean_weight_is_that_of_numpy(x64):
    log_weight = np.random.default_rng(0).normal(size=50)
    np.testing.assert_allclose(log_mean_exp(jnp.asarray(log_weight)), np.log(np.exp(log_weight).mean()), rtol=1e-12)
    np.testing.assert_allclose(
        log_mean_exp(jnp.asarray(log_weight - 5000.0)) + 5000.0, np.log(np.exp(log_weight).mean()), atol=1e-11
    )


@pytest.mark.parametrize("count", [1, 7, 100])
def test_systematic_resampling_takes_the_points_at_the_teeth_of_a_comb(count):
    """Against counting by hand; each point is taken n w times, rounded up or down."""
    rng = np.random.default_rng(count)
    for offset in (0.01, 0.5, 0.99):
        weight = rng.dirichlet(np.full(9, 0.5))
        edges = np.cumsum(weight)
        by_hand = [int(np.sum(edges < (i + offset) / count)) for i in range(count)]
        assert systematic(weight, offset, count).tolist() == by_hand
        times = np.bincount(by_hand, minlength=9)
        assert (np.abs(times - count * weight) < 1.0 + 1e-9).all()


def test_thinning_keeps_z_and_the_shares_and_leaves_few_points_alone(x64):
    log_weight = jnp.log(jnp.array([1.0, 2.0, 0.0, 5.0])) + 3.0
    particles = Particles(jnp.arange(4.0)[:, None], log_weight)
    assert thinned(particles, 4) is particles
    many = Particles(jnp.repeat(particles.x, 100, axis=0), jnp.repeat(log_weight, 100))
    few = thinned(many, 80)
    np.testing.assert_allclose(log_mean_exp(few.log_weight), 3.0 + np.log(2.0), rtol=1e-12)
    np.testing.assert_allclose(few.log_weight, few.log_weight[0])
    assert np.bincount(np.asarray(few.x[:, 0], int), minlength=4).tolist() == [10, 20, 0, 50]
