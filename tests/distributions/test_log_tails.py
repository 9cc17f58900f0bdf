import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

from gmdsl.distributions.log_tails import log_difference, log_tails

pytestmark = pytest.mark.usefixtures("x64")

LAWS = {
    "normal": (lambda: dist.Normal(1.0, 2.0), stats.norm(1, 2)),
    "lognormal": (lambda: dist.LogNormal(0.3, 0.7), stats.lognorm(0.7, scale=np.exp(0.3))),
    "half normal": (lambda: dist.HalfNormal(2.0), stats.halfnorm(scale=2)),
    "exponential": (lambda: dist.Exponential(0.5), stats.expon(scale=2)),
    "weibull": (lambda: dist.Weibull(2.0, 1.5), stats.weibull_min(1.5, scale=2)),
    "logistic": (lambda: dist.Logistic(1.0, 2.0), stats.logistic(1, 2)),
    "laplace": (lambda: dist.Laplace(1.0, 2.0), stats.laplace(1, 2)),
    "cauchy": (lambda: dist.Cauchy(1.0, 2.0), stats.cauchy(1, 2)),
    "half cauchy": (lambda: dist.HalfCauchy(2.0), stats.halfcauchy(scale=2)),
    "student": (lambda: dist.StudentT(3.0, 1.0, 2.0), stats.t(3, 1, 2)),
    "gumbel": (lambda: dist.Gumbel(1.0, 2.0), stats.gumbel_r(1, 2)),
    "gamma": (lambda: dist.Gamma(2.0, 1.5), stats.gamma(2, scale=1 / 1.5)),
    "uniform": (lambda: dist.Uniform(1.0, 4.0), stats.uniform(1, 3)),
    "pareto": (lambda: dist.Pareto(1.0, 3.0), stats.pareto(3)),
    "beta": (lambda: dist.Beta(2.0, 3.0), stats.beta(2, 3)),  # by its cdf
    "inverse gamma": (lambda: dist.InverseGamma(3.0, 2.0), stats.invgamma(3, scale=2)),  # a falling transform
}


@pytest.mark.parametrize("law", LAWS)
def test_both_tails_agree_with_scipy_and_have_finite_gradients(law):
    make, reference = LAWS[law]
    x = jnp.asarray(reference.ppf([1e-4, 0.01, 0.3, 0.7, 0.99, 1 - 1e-5]))
    below, above = log_tails(make(), x)
    np.testing.assert_allclose(below, reference.logcdf(x), rtol=2e-10, atol=1e-12)
    np.testing.assert_allclose(above, reference.logsf(x), rtol=2e-10, atol=1e-12)
    hazard = jax.vmap(jax.grad(lambda x: log_tails(make(), x)[1]))(x)
    np.testing.assert_allclose(hazard, -np.exp(reference.logpdf(x) - reference.logsf(x)), rtol=1e-8)


def test_counts_have_nothing_below_zero():
    x = np.arange(-1.0, 12.0)
    below, above = log_tails(dist.Poisson(3.0), x)
    np.testing.assert_allclose(np.exp(below), stats.poisson(3).cdf(x), rtol=1e-12)
    np.testing.assert_allclose(np.exp(above), stats.poisson(3).sf(x), rtol=1e-9)


@pytest.mark.parametrize("z", [-300.0, -30.0, 30.0, 60.0])
def test_the_normal_tail_keeps_its_digits_at_thirty_standard_deviations_and_beyond(z):
    below, above = log_tails(dist.Normal(0.0, 1.0), z)
    np.testing.assert_allclose(below, stats.norm.logcdf(z), rtol=1e-12)
    np.testing.assert_allclose(above, stats.norm.logsf(z), rtol=1e-12)


def test_the_other_closed_tails_do_not_underflow_either():
    far = {
        dist.Exponential(1.0): -2000.0,
        dist.Weibull(1.0, 1.0): -2000.0,
        dist.Logistic(0.0, 1.0): -2000.0,
        dist.Laplace(0.0, 1.0): -2000.0 - np.log(2.0),
        dist.Gumbel(0.0, 1.0): -2000.0,
        dist.Pareto(1.0, 300.0): -300.0 * np.log(2000.0),
    }
    for law, expected in far.items():
        np.testing.assert_allclose(log_tails(law, 2000.0)[1], expected, rtol=1e-12, err_msg=type(law).__name__)


def test_a_difference_of_exponentials_keeps_its_digits():
    np.testing.assert_allclose(log_difference(-700.0, -700.0 - 2.0**-40), -700.0 - 40 * np.log(2.0), rtol=1e-12)
    np.testing.assert_allclose(log_difference(-1.0, -np.inf), -1.0)
