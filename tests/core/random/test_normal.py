import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gmdsl.core.random.normal import FEW, NARROW, _many, standard_normal


@pytest.mark.parametrize("shape", [(), (1,), (2,), (7,), (3, 5), (0,)])
def test_shapes_of_any_size_are_filled_with_different_numbers(shape):
    x = standard_normal(jax.random.key(0), shape, jnp.float32)
    assert x.shape == shape
    assert x.dtype == jnp.float32
    assert len(np.unique(x)) == x.size


def test_the_law_is_standard_normal():
    """200,000 numbers against the exact distribution function (p > 1e-5), four moments and tails by |z| < 5."""
    keys = jax.random.split(jax.random.key(1), 20_000)
    x = np.asarray(jax.vmap(lambda key: standard_normal(key, (10,), jnp.float32))(keys), float)
    flat = x.ravel()
    assert stats.kstest(flat, "norm").pvalue > 1e-5
    n = flat.size
    for power, mean, variance in ((1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)):
        assert abs((flat**power).mean() - mean) < 5.0 * np.sqrt(variance / n)
    beyond = stats.norm.sf(3.0)
    for tail in (flat > 3.0, flat < -3.0):
        assert abs(tail.mean() - beyond) < 5.0 * np.sqrt(beyond / n)
    correlations = np.corrcoef(x.T)[np.triu_indices(10, 1)]
    assert np.abs(correlations).max() < 5.0 / np.sqrt(20_000)
    squares = np.corrcoef((x**2).T)[np.triu_indices(10, 1)]
    assert np.abs(squares).max() < 5.0 / np.sqrt(20_000)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 10, 31, FEW, FEW + 1])
@pytest.mark.parametrize("chains", [1, 2, NARROW, 100])
def test_few_and_many_are_the_same_numbers_alone_and_side_by_side(count, chains):
    """Up to the last bit, as the error function is rounded otherwise in vector registers."""
    keys = jax.random.split(jax.random.key(4), chains)
    draw = lambda key: standard_normal(key, (count,), jnp.float32)  # noqa: E731
    expected = np.stack([_many(count, jax.random.key_data(key)) for key in keys])
    np.testing.assert_allclose(jax.jit(jax.vmap(draw))(keys), expected, rtol=3e-6)
    np.testing.assert_allclose(np.stack([draw(key) for key in keys]), expected, rtol=3e-6)
    grid = jax.vmap(jax.vmap(draw))(keys.reshape(1, chains))[0]
    np.testing.assert_allclose(grid, expected, rtol=3e-6)


def test_extreme_bits_stay_finite():
    x = np.asarray(
        jax.vmap(lambda key: standard_normal(key, (1000,), jnp.float32))(jax.random.split(jax.random.key(2), 5000))
    )
    assert np.isfinite(x).all()
    assert 4.5 < np.abs(x).max() < 5.6


def test_other_generators_and_precisions_fall_back_to_jax(x64):
    key = jax.random.key(3)
    np.testing.assert_array_equal(standard_normal(key, (4,), jnp.float64), jax.random.normal(key, (4,), jnp.float64))
    rbg = jax.random.key(3, impl="rbg")
    np.testing.assert_array_equal(standard_normal(rbg, (4,), jnp.float32), jax.random.normal(rbg, (4,), jnp.float32))
