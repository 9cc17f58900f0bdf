import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

from gmdsl.distributions.log_density import log_density

LAWS = {
    "poisson": (dist.Poisson(1e6), stats.poisson(1e6), [999_000, 1_000_000, 1_002_000]),
    "binomial": (dist.Binomial(2_000_000, 0.25), stats.binom(2_000_000, 0.25), [499_000, 500_000, 501_000]),
    "logits": (dist.Binomial(2_000_000, logits=0.0), stats.binom(2_000_000, 0.5), [999_000, 1_000_000]),
    "negative binomial": (dist.NegativeBinomial2(2.0**17, 64.0), stats.nbinom(64, 64 / (64 + 2**17)), [9e4, 1.3e5]),
    "gamma": (dist.Gamma(1e6, 2.0), stats.gamma(1e6, scale=0.5), [499_000.0, 500_000.0]),
    "inverse gamma": (dist.InverseGamma(1e6, 2.0), stats.invgamma(1e6, scale=2.0), np.float32([2e-6, 2.002e-6])),
    "chi2": (dist.Chi2(2e6), stats.chi2(2e6), [1_999_000.0, 2_001_000.0]),
    "beta": (dist.Beta(1e5, 3e5), stats.beta(1e5, 3e5), np.float32([0.249, 0.25])),
    "student": (dist.StudentT(1e6, 1.0, 2.0), stats.t(1e6, 1.0, 2.0), [-3.0, 1.0]),
    "lognormal": (dist.LogNormal(0.3, 0.5), stats.lognorm(0.5, scale=np.exp(0.3)), [0.5, 3.0]),
}


@pytest.mark.parametrize("name", LAWS)
def test_densities_of_large_parameters_hold_in_single_precision(name):
    law, reference, at = LAWS[name]
    exact = (reference.logpmf if isinstance(reference.dist, stats.rv_discrete) else reference.logpdf)(
        np.asarray(at, float)
    )
    np.testing.assert_allclose(log_density(law.expand([len(at)]), jnp.asarray(at)), exact, rtol=1e-3)


def test_small_parameters_and_the_ends_of_the_support_are_those_of_numpyro():
    laws = {
        dist.Poisson(0.2): [0, 1, 5], dist.Binomial(3, 0.4): [0, 1, 3], dist.NegativeBinomial2(2.0, 0.5): [0, 4],
        dist.Gamma(0.4, 2.0): [0.1, 3.0], dist.Beta(0.5, 2.0): [0.1, 0.9], dist.StudentT(0.7, 0.0, 1.0): [0.0, 1e4],
    }  # fmt: skip
    for law, at in laws.items():
        np.testing.assert_allclose(log_density(law, jnp.asarray(at)), law.log_prob(jnp.asarray(at)), rtol=2e-5)
    assert log_density(dist.Poisson(2.0), -1) == log_density(dist.Binomial(3, 0.4), 4) == -np.inf
