"""Powers and quotients against densities by hand; each law beside the number that the naive reading gives."""

import math

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import digamma

import gmdsl as gm


def test_the_power_acts_on_the_constrained_density_and_the_jacobian_enters_once(x64):
    model = gm.joint(s=dist.Gamma(3.0, 2.0)) ** 2.0
    density, x = gm.compile(model), jnp.array([0.3])
    s = float(density.constrain(x)["s"])
    log_p = float(dist.Gamma(3.0, 2.0).log_prob(s))
    jacobian = np.log(s)  # d s / d x, for s = exp(x)
    np.testing.assert_allclose(float(density.log_density({"s": s})), 2 * log_p, rtol=1e-12)
    np.testing.assert_allclose(float(density.target.log_density(x)), 2 * log_p + jacobian, rtol=1e-12)
    assert abs(2 * (log_p + jacobian) - float(density.target.log_density(x))) > 0.1  # the naive reading


def test_observed_terms_are_raised_too(x64):
    joint = gm.joint(m=dist.Normal(0.0, 1.0), y=lambda m: dist.Normal(m, 0.5)).condition(y=2.0)
    by_hand = 3 * (dist.Normal(0.0, 1.0).log_prob(0.7) + dist.Normal(0.7, 0.5).log_prob(2.0))
    np.testing.assert_allclose(float(gm.compile(joint**3).log_density({"m": 0.7})), by_hand, rtol=1e-12)


def test_a_powered_posterior_has_the_known_law():
    """A Gaussian to the power 4 has half the spread; 4.5 standard errors, false alarms 1 in 10^5."""
    sharper = gm.joint(x=dist.Normal(1.0, 2.0)) ** 4
    draws = gm.sample(sharper, gm.NUTS(), draws=2000, progress=False)["posterior"]["x"].values
    error = 1.0 / np.sqrt(draws.size / 4)
    assert abs(draws.mean() - 1.0) < 4.5 * error
    assert abs(draws.std() - 1.0) < 4.5 * error


def test_a_quotient_divides_and_shared_variables_are_unified(x64):
    wide, narrow = gm.joint(x=dist.Normal(0.0, 2.0)), gm.joint(x=dist.Normal(0.0, 1.0))
    ratio = gm.compile(narrow / wide)
    expected = dist.Normal(0.0, 1.0).log_prob(1.5) - dist.Normal(0.0, 2.0).log_prob(1.5)
    np.testing.assert_allclose(float(ratio.log_density({"x": 1.5})), expected, rtol=1e-12)
    back = gm.compile((narrow / wide) * wide)
    np.testing.assert_allclose(float(back.log_density({"x": 1.5})), dist.Normal(0.0, 1.0).log_prob(1.5), rtol=1e-12)


def test_marginalising_and_then_raising_is_not_raising_and_then_marginalising(x64):
    joint = gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z, 1.0))
    marginal = gm.compile(joint.marginalize("z") ** 2)
    by_hand = 2 * dist.Normal(0.0, np.sqrt(2.0)).log_prob(0.8)
    np.testing.assert_allclose(float(marginal.log_density({"x": 0.8})), by_hand, rtol=1e-12)
    z = np.linspace(-12, 12, 20_001)
    both = 2 * (dist.Normal(0.0, 1.0).log_prob(z) + dist.Normal(z, 1.0).log_prob(0.8))
    assert abs(np.log(np.trapezoid(np.exp(both), z)) - by_hand) > 0.1  # the other order


def test_a_powered_likelihood_is_no_pointwise_term():
    whole = gm.joint(m=dist.Normal(0.0, 1.0))
    tempered = whole * gm.joint(m=gm.input(gm.Real()), y=lambda m: dist.Normal(m, 1.0)).condition(y=1.0) ** 0.5
    tree = gm.sample(tempered, gm.NUTS(), chains=1, draws=20, warmup=50, progress=False)
    with pytest.raises(gm.SpecError, match="no observed variable has a conditional"):
        gm.log_likelihood(tempered, tree)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_a_powered_gamma_is_a_gamma_for_quadrature_and_for_nuts(x64, beta):
    """Gamma(3, 2) ** beta is Gamma(2 beta + 1, 2 beta); with the Jacobian raised too it would have the mean 1.5.

    Two numbers within 4.5 standard errors, false alarms 1 in 70,000 seeds.
    """
    powered = gm.joint(s=dist.Gamma(3.0, 2.0)) ** beta
    shape, rate = 2.0 * beta + 1.0, 2.0 * beta
    constant = beta * (3.0 * np.log(2.0) - math.lgamma(3.0)) - (shape * np.log(rate) - math.lgamma(shape))
    np.testing.assert_allclose(gm.log_normalizer(powered).log_z, constant, rtol=1e-9)
    np.testing.assert_allclose(gm.expectation(powered, lambda v: v["s"]).value, shape / rate, rtol=1e-9)
    tree = gm.sample(powered, gm.NUTS(), draws=2000, seed=2, progress=False)
    for statistic, exact in ((lambda s: s, shape / rate), (np.log, digamma(shape) - np.log(rate))):
        draws = statistic(tree["posterior"]["s"].values)
        error = draws.std() / np.sqrt(draws.size / 5)
        assert abs(draws.mean() - exact) < 4.5 * error
    assert abs(1.5 - shape / rate) > 0.2  # the naive reading


def test_a_quotient_has_the_law_of_the_difference_of_precisions(x64):
    """N(0, 1) / N(0, 2) is a Gaussian of precision 3/4, not of variance 1/4 or 1 - 4."""
    ratio = gm.joint(x=dist.Normal(0.0, 1.0)) / gm.joint(x=dist.Normal(0.0, 2.0))
    np.testing.assert_allclose(gm.expectation(ratio, lambda v: v["x"] ** 2).value, 4.0 / 3.0, rtol=1e-8)
    constant = np.log(2.0) + 0.5 * np.log(2.0 * np.pi * 4.0 / 3.0)
    np.testing.assert_allclose(gm.log_normalizer(ratio).log_z, constant, rtol=1e-9)


def test_what_is_observed_weighs_more_in_a_power_of_the_posterior_too(x64):
    """posterior ** 2 has half the variance and the same mean; the prior alone squared would move the mean."""
    posterior = gm.joint(m=dist.Normal(0.0, 1.0), y=lambda m: dist.Normal(m, 0.5)).condition(y=2.0)
    mean, variance = 2.0 / (1.0 + 0.25), 0.25 / (1.0 + 0.25)
    squared = posterior**2
    np.testing.assert_allclose(gm.expectation(squared, lambda v: v["m"]).value, mean, rtol=1e-8)
    np.testing.assert_allclose(gm.expectation(squared, lambda v: (v["m"] - mean) ** 2).value, variance / 2.0, rtol=1e-8)
