import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as stats

from gmdsl.distributions.special.student_tails import log_scale, log_student_density, log_student_tails

Z = np.array([-1e6, -50.0, -3.0, -0.1, 0.0, 0.1, 3.0, 50.0, 1e6])


@pytest.mark.parametrize("df", [0.5, 1.0, 3.0, 40.0, 5e3])
def test_both_tails_and_the_hazard_agree_with_scipy(df, x64):
    law, z = stats.t(df), Z if df < 10 else Z[2:-2]
    below, above = log_student_tails(df, jnp.asarray(z))
    rtol = 1e-6 if df < 1 else 3e-9
    np.testing.assert_allclose(below, law.logcdf(z), rtol=rtol, atol=1e-12)
    np.testing.assert_allclose(above, law.logsf(z), rtol=rtol, atol=1e-12)
    hazard = jax.vmap(jax.grad(lambda z: log_student_tails(df, z)[1]))(jnp.asarray(z[z > 0]))
    np.testing.assert_allclose(hazard, -np.exp(law.logpdf(z) - law.logsf(z))[z > 0], rtol=1e-6)


@pytest.mark.parametrize("df", [0.3, 4.0, 1e6])
def test_densities_and_tails_hold_in_single_precision(df):
    law = stats.t(float(np.float32(df)))
    z = np.array([-4.0, 0.0, 2.5])
    np.testing.assert_allclose(log_student_density(df, jnp.asarray(z)), law.logpdf(z), rtol=1e-4)
    np.testing.assert_allclose(log_student_tails(df, jnp.asarray(z))[0], law.logcdf(z), rtol=2e-4)
    slope = jax.grad(lambda df: log_student_tails(df, 2.5)[1])(df)
    h = 1e-3 * df
    by_differences = (stats.t(df + h).logsf(2.5) - stats.t(df - h).logsf(2.5)) / (2 * h)
    np.testing.assert_allclose(slope, by_differences, rtol=1e-2, atol=1e-7)


def test_the_constant_of_one_degree_is_that_of_cauchy():
    np.testing.assert_allclose(log_scale(jnp.float32(1.0)), -np.log(np.pi), rtol=1e-5)
