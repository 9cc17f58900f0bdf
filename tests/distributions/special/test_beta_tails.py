import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special as special
import scipy.stats as stats

from gmdsl.distributions.special.beta_tails import log_beta_power, log_beta_tails


def points(dtype):
    rng = np.random.default_rng(0)
    a, b = (10 ** rng.uniform(-3, 6, (2, 4000))).astype(dtype)
    mean = a.astype(float) / (a.astype(float) + b)
    p = mean + 3 * np.sqrt(mean * (1 - mean) / (a.astype(float) + b + 1)) * rng.normal(size=a.size)
    p = np.where(rng.random(a.size) < 0.3, rng.uniform(1e-4, 0.9999, a.size), p)
    p = np.clip(p, 1e-30, 1 - 1e-6).astype(dtype)
    return a, b, p, (1.0 - p.astype(float)).astype(dtype)


@pytest.mark.parametrize("single", [True, False])
def test_both_tails_agree_with_scipy(single):
    with jax.enable_x64(not single):
        a, b, p, q = points(np.float32 if single else np.float64)
        found = [np.asarray(tail) for tail in jax.jit(log_beta_tails)(a, b, p, q)]
    a, b, p = a.astype(float), b.astype(float), p.astype(float)
    for tail, exact in zip(found, (special.betainc(a, b, p), special.betaincc(a, b, p)), strict=True):
        seen = exact > 1e-290
        error = np.abs(tail - np.log(np.where(seen, exact, 1.0)))[seen] / np.maximum(np.abs(np.log(exact[seen])), 1.0)
        assert error.max() < (3e-4 if single else 1e-8)


def test_the_ends_are_exact():
    below, above = log_beta_tails(2.0, 3.0, jnp.array([0.0, 1.0]), jnp.array([1.0, 0.0]))
    np.testing.assert_array_equal(below, [-np.inf, 0.0])
    np.testing.assert_array_equal(above, [0.0, -np.inf])


def test_derivatives_in_shapes_and_point_are_those_of_differences(x64):
    for a, b, p in [(0.3, 0.7, 0.1), (0.3, 0.7, 0.9), (40.0, 3.0, 0.8), (40.0, 3.0, 0.99), (3e3, 4e3, 0.45)]:
        tail = lambda a, b, p: log_beta_tails(a, b, p, 1.0 - p)[1]  # noqa: E731
        slopes = jax.grad(tail, argnums=(0, 1, 2))(a, b, p)
        for slope, step in zip(slopes, np.diag([a, b, p * (1 - p) * 0.1]), strict=True):
            up, down = (np.log(special.betaincc(*(np.array([a, b, p]) + s * step))) for s in (1e-4, -1e-4))
            np.testing.assert_allclose(slope, (up - down) / (2e-4 * step.max()), rtol=1e-4)


def test_the_density_of_the_logit_keeps_its_digits():
    for a, b in [(0.2, 3.0), (1e6, 2e6), (5.0, 1e6)]:
        p = np.float64(np.float32(a / (a + b)))
        found = log_beta_power(*(jnp.float32(v) for v in (a, b, p, 1 - p)))
        expected = stats.beta(float(np.float32(a)), b).logpdf(p) + np.log(p) + np.log1p(-p)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
