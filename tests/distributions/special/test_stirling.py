import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special as special

from gmdsl.distributions.special.stirling import deviance, exp_beyond_linear, stirling_error

SIZES = np.array([1e-3, 0.2, 1.0, 3.7, 7.99, 8.0, 30.0, 200.0])


def test_the_error_of_stirlings_formula_and_its_derivative(x64):
    exact = special.gammaln(SIZES) - ((SIZES - 0.5) * np.log(SIZES) - SIZES + 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(stirling_error(jnp.asarray(SIZES)), exact, rtol=1e-10, atol=2e-12)
    np.testing.assert_allclose(stirling_error(jnp.asarray(1e9)), 1 / 12e9, rtol=1e-12)
    slope = special.digamma(SIZES) - np.log(SIZES) + 0.5 / SIZES
    np.testing.assert_allclose(jax.vmap(jax.grad(stirling_error))(jnp.asarray(SIZES)), slope, rtol=1e-9, atol=1e-12)


def test_it_holds_in_single_precision():
    exact = special.gammaln(SIZES) - ((SIZES - 0.5) * np.log(SIZES) - SIZES + 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(stirling_error(jnp.asarray(SIZES, jnp.float32)), exact, rtol=1e-5, atol=4e-6)


@pytest.mark.parametrize("a", [0.5, 40.0, 1e6])
@pytest.mark.parametrize("ratio", [1e-6, 0.3, 1 - 1e-4, 1 + 1e-4, 1.4, 50.0])
def test_the_deviance_is_small_where_its_arguments_are_near(a, ratio):
    a, x = float(np.float32(a)), float(np.float32(a * ratio))
    exact = special.rel_entr(a, x) + x - a
    exact = exact if abs(ratio - 1) > 0.01 else a * sum((1 - x / a) ** k / k for k in range(2, 9))
    found, slopes = jax.value_and_grad(lambda a, x: deviance(a, x, x - a), argnums=(0, 1))(a, x)
    np.testing.assert_allclose(found, exact, rtol=2e-5)
    np.testing.assert_allclose(slopes[0], -np.log1p((x - a) / a), rtol=1e-5)
    np.testing.assert_allclose(slopes[1], (x - a) / x, rtol=1e-5)


@pytest.mark.parametrize("u", [-30.0, -0.6, -1e-3, 1e-6, 0.4, 0.6, 10.0])
def test_the_exponential_beyond_its_line(u):
    u = float(np.float32(u))
    exact = np.expm1(u) - u if abs(u) > 0.1 else u**2 / 2 + u**3 / 6 + u**4 / 24
    found, slope = jax.value_and_grad(exp_beyond_linear)(jnp.float32(u))
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    np.testing.assert_allclose(slope, np.expm1(u), rtol=1e-6)
