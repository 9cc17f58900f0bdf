import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special as special
import scipy.stats as stats

from gmdsl.distributions.special.gamma_tails import log_gamma_power, log_gamma_tails


def points(dtype):
    rng = np.random.default_rng(0)
    a = (10 ** rng.uniform(-3, 6, 4000)).astype(dtype)
    x = np.abs(a + 3 * np.sqrt(a) * rng.normal(size=a.size))
    return a, np.where(rng.random(a.size) < 0.3, a * 10 ** rng.uniform(-2, 1, a.size), x).astype(dtype)


@pytest.mark.parametrize("single", [True, False])
def test_both_tails_agree_with_scipy(single):
    with jax.enable_x64(not single):
        a, x = points(np.float32 if single else np.float64)
        found = [np.asarray(tail) for tail in jax.jit(log_gamma_tails)(a, x)]
    a, x = a.astype(float), x.astype(float)
    for tail, exact in zip(found, (special.gammainc(a, x), special.gammaincc(a, x)), strict=True):
        seen = exact > 1e-290
        error = np.abs(tail - np.log(np.where(seen, exact, 1.0)))[seen] / np.maximum(np.abs(np.log(exact[seen])), 1.0)
        assert error.max() < (1e-4 if single else 2e-7)  # scipy's own are off by 1e-7 far from the mode


def test_the_ends_are_exact():
    below, above = log_gamma_tails(jnp.array([0.5, 3.0]), jnp.array([0.0, 1e30]))
    np.testing.assert_allclose(below, [-np.inf, 0.0], atol=1e-30)
    assert above[0] == 0.0
    assert above[1] < -1e20


def test_derivatives_in_both_arguments_are_those_of_differences(x64):
    for a, x in [(0.3, 0.1), (0.3, 2.0), (7.0, 4.0), (7.0, 30.0), (5e3, 4.8e3), (5e3, 5.3e3)]:
        slopes = jax.grad(lambda a, x: log_gamma_tails(a, x)[1], argnums=(0, 1))(a, x)
        h = 1e-4 * a
        by_a = (np.log(special.gammaincc(a + h, x)) - np.log(special.gammaincc(a - h, x))) / (2 * h)
        np.testing.assert_allclose(slopes[0], by_a, rtol=1e-4)
        hazard = np.exp(stats.gamma(a).logpdf(x) - stats.gamma(a).logsf(x))
        np.testing.assert_allclose(slopes[1], -hazard, rtol=1e-8)


def test_the_density_of_the_logarithm_keeps_its_digits():
    for a in (0.01, 1.0, 1e6):
        x = float(np.float32(a * 1.001))
        found = log_gamma_power(jnp.float32(a), jnp.float32(x))
        np.testing.assert_allclose(found, stats.gamma(float(np.float32(a))).logpdf(x) + np.log(x), rtol=2e-4)
