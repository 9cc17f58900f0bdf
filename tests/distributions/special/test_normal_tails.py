import jax
import jax.numpy as jnp
import numpy as np
import scipy.special as special
import scipy.stats as stats

from gmdsl.distributions.special.normal_tails import log_normal_tail, log_survival_ratio, normal_hazard

Z = np.array([-8.0, -1.0, 0.0, 2.0, 5.9, 6.1, 30.0, 5000.0, 1e6])


def mills(z):
    return np.sqrt(np.pi / 2) * special.erfcx(z / np.sqrt(2))


def test_the_tail_and_its_derivative_far_out_in_single_precision():
    found = jax.vmap(jax.value_and_grad(log_normal_tail))(jnp.asarray(-Z, jnp.float32))
    np.testing.assert_allclose(found[0], stats.norm.logsf(Z), rtol=2e-6, atol=1e-30)
    np.testing.assert_allclose(found[1], 1 / mills(Z), rtol=1e-5)


def test_mills_ratio_the_hazard_and_their_slopes(x64):
    np.testing.assert_allclose(log_survival_ratio(jnp.asarray(Z)), np.log(mills(Z)), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(normal_hazard(jnp.asarray(Z)), 1 / mills(Z), rtol=1e-9)
    slope = jax.vmap(jax.grad(log_survival_ratio))(jnp.asarray(Z))
    h = 1e-6 * np.maximum(1, np.abs(Z))
    by_differences = (np.log(mills(Z + h)) - np.log(mills(Z - h))) / (2 * h)
    np.testing.assert_allclose(slope, by_differences, rtol=1e-5, atol=1e-8)
