"""Bounded laws in single precision, far out and with large parameters, against integrals in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

import gmdsl as gm
from gmdsl.distributions.log_tails import log_tails

# One parameter, the law by it, scipy's law by it, and how many standard deviations out the bounds lie.
LAWS = {
    "poisson": (1e6, lambda t: dist.Poisson(t), lambda t: stats.poisson(t)),
    "small poisson": (0.3, lambda t: dist.Poisson(t), lambda t: stats.poisson(t)),
    "gamma": (1e5, lambda t: dist.Gamma(t, 2.0), lambda t: stats.gamma(t, scale=0.5)),
    "gamma rate": (3.0, lambda t: dist.Gamma(1e4, t), lambda t: stats.gamma(1e4, scale=1 / t)),
    "small gamma": (0.4, lambda t: dist.Gamma(t, 2.0), lambda t: stats.gamma(t, scale=0.5)),
    "inverse gamma": (1e4, lambda t: dist.InverseGamma(t, 2.0), lambda t: stats.invgamma(t, scale=2.0)),
    "beta": (3e4, lambda t: dist.Beta(t, 5e4), lambda t: stats.beta(t, 5e4)),
    "skewed beta": (0.7, lambda t: dist.Beta(t, 200.0), lambda t: stats.beta(t, 200.0)),
    "binomial": (0.3, lambda t: dist.Binomial(1_000_000, t), lambda t: stats.binom(1_000_000, t)),
    "binomial logits": (
        -0.5,
        lambda t: dist.Binomial(200_000, logits=t),
        lambda t: stats.binom(200_000, 1 / (1 + np.exp(-t))),
    ),
    "negative binomial": (
        1e5,
        lambda t: dist.NegativeBinomial2(t, 50.0),
        lambda t: stats.nbinom(50.0, 50.0 / (50.0 + t)),
    ),
    "dispersed counts": (
        2e4,
        lambda t: dist.NegativeBinomial2(3e5, t),
        lambda t: stats.nbinom(t, t / (t + 3e5)),
    ),
    "normal": (3.0, lambda t: dist.Normal(t, 0.5), lambda t: stats.norm(t, 0.5)),
    "normal scale": (0.5, lambda t: dist.Normal(3.0, t), lambda t: stats.norm(3.0, t)),
    "lognormal": (1.0, lambda t: dist.LogNormal(t, 0.3), lambda t: stats.lognorm(0.3, scale=np.exp(t))),
    "exponential": (0.7, lambda t: dist.Exponential(t), lambda t: stats.expon(scale=1 / t)),
    "weibull": (1.4, lambda t: dist.Weibull(2.0, t), lambda t: stats.weibull_min(t, scale=2.0)),
    "student": (2e5, lambda t: dist.StudentT(t, 1.0, 2.0), lambda t: stats.t(t, 1.0, 2.0)),
    "heavy student": (3.0, lambda t: dist.StudentT(t, 1.0, 2.0), lambda t: stats.t(t, 1.0, 2.0)),
    "laplace": (2.0, lambda t: dist.Laplace(1.0, t), lambda t: stats.laplace(1.0, t)),
    "logistic": (2.0, lambda t: dist.Logistic(1.0, t), lambda t: stats.logistic(1.0, t)),
    "gumbel": (2.0, lambda t: dist.Gumbel(1.0, t), lambda t: stats.gumbel_r(1.0, t)),
    "cauchy": (2.0, lambda t: dist.Cauchy(1.0, t), lambda t: stats.cauchy(1.0, t)),
    "levy": (2.0, lambda t: dist.Levy(0.0, t), lambda t: stats.levy(0.0, t)),
    "gompertz": (0.5, lambda t: dist.Gompertz(t, 1.0), lambda t: stats.gompertz(t)),
    "geometric": (1e-4, lambda t: dist.Geometric(t), lambda t: stats.geom(t, loc=-1)),
}
SHARES = (1e-12, 1e-3, 0.3)  # of the mass beyond a bound
_BY_SCIPY = ("expon", "weibull_min", "levy", "gompertz")  # closed forms
DRAWN = ("poisson", "gamma", "inverse gamma", "beta", "binomial", "negative binomial", "normal", "weibull", "student")


def mass_beyond(law, start, sign):
    """The log of the mass from a point (included) outwards, by sums or the trapezium rule, in double precision."""
    if law.dist.name in _BY_SCIPY:
        return law.logsf(start) if sign > 0 else law.logcdf(start)
    discrete = isinstance(law.dist, stats.rv_discrete)
    density = _quiet(law.logpmf if discrete else law.logpdf)
    first, step = density(start), 1.0
    if not discrete:
        step = max(abs(law.ppf(0.5) - start), abs(law.ppf(0.84) - law.ppf(0.16))) * 1e-5
    points = [start]
    if discrete:
        length = 1
        while np.isfinite(density(start + sign * length)) and density(start + sign * length) > first - 45:
            length *= 2
        points = start + sign * np.arange(length + 1.0)
        return np.logaddexp.reduce(density(points))
    growth = step * np.geomspace(1.0, 1e9, 20_000)
    points = start + sign * np.concatenate([[0.0], growth])
    values = np.exp(density(points) - first)
    values = np.where(np.isfinite(values), values, 0.0)
    return first + np.log(np.sum(0.5 * (values[1:] + values[:-1]) * np.abs(np.diff(points))))


def _quiet(function):
    def call(x):
        with np.errstate(all="ignore"):
            return function(x)

    return call


def bounds(law, sign):
    """Bounds on one side, farther and farther out, as single precision holds them."""
    found = law.isf(SHARES) if sign > 0 else law.ppf(SHARES)
    return np.unique(np.float32(found)).astype(float)


def slope(function, at):
    """A derivative by five points, in double precision."""
    h = 1e-3 * abs(at)
    return (8 * (function(at + h) - function(at - h)) - (function(at + 2 * h) - function(at - 2 * h))) / (12 * h)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_mass_beyond_a_bound_and_its_score_hold_in_single_precision(name, sign):
    at, make, reference = LAWS[name]
    at = float(np.float32(at))
    if name in ("small gamma", "skewed beta"):  # scipy is exact at these sizes, a rule from zero is not
        outwards = lambda law, b, sign: law.logsf(b) if sign > 0 else law.logcdf(b)  # noqa: E731
    else:
        outwards = mass_beyond
    key = "high" if sign > 0 else "low"
    value_and_score = jax.jit(jax.value_and_grad(lambda t, b: gm.censored(make(t), **{key: b}).log_prob(b)))
    for bound in bounds(reference(at), sign):
        found, score = value_and_score(at, bound)
        expected = outwards(reference(at), bound, sign)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4, err_msg=f"{name} at {bound}")
        truth = slope(lambda t, b=bound: outwards(reference(t), b, sign), at)
        np.testing.assert_allclose(score, truth, rtol=3e-3, atol=1e-4 / abs(at), err_msg=f"score of {name} at {bound}")


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_law_restricted_to_what_lies_beyond_a_bound_holds_in_single_precision(name, sign):
    at, make, reference = LAWS[name]
    at, law = float(np.float32(at)), reference(float(np.float32(at)))
    key = "low" if sign > 0 else "high"
    value_and_score = jax.jit(jax.value_and_grad(lambda t, b, x: gm.truncated(make(t), **{key: b}).log_prob(x)))
    sample = jax.jit(lambda b: gm.truncated(make(at), **{key: b}).sample(jax.random.key(1), (2000,)))
    for bound in bounds(law, sign):
        draws = np.asarray(sample(bound))
        assert (sign * (draws - bound) >= 0).all()
        point = float(np.quantile(draws, 0.5, method="lower"))
        whole = mass_beyond(law, bound, sign)
        found, score = value_and_score(at, bound, point)
        expected = _log_pdf(law, point) - whole
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3, err_msg=f"{name} at {bound}")
        truth = slope(lambda t, b=bound, p=point: _log_pdf(reference(t), p) - mass_beyond(reference(t), b, sign), at)
        np.testing.assert_allclose(score, truth, rtol=1e-2, atol=2e-3 / abs(at), err_msg=f"score of {name} at {bound}")
        share = np.exp(mass_beyond(law, point, sign) - whole)  # of the draws at the point or farther out
        seen = np.mean(sign * (draws.astype(float) - point) >= 0)
        assert abs(seen - share) < 4.5 * np.sqrt(0.25 / 2000), (name, bound, point, seen, share)  # 1e-5 each


def _log_pdf(law, x):
    return law.logpmf(x) if isinstance(law.dist, stats.rv_discrete) else law.logpdf(x)


def test_the_two_tails_of_a_whole_number_agree_with_its_density():
    count = jnp.arange(0, 40.0)
    for law in (dist.Binomial(39, 0.3), dist.Poisson(8.0), dist.NegativeBinomial2(9.0, 2.0), dist.Geometric(0.1)):
        above = np.exp(np.asarray(log_tails(law, count)[1], float))
        before = np.exp(np.asarray(log_tails(law, count - 1.0)[1], float))
        np.testing.assert_allclose(before - above, np.exp(law.log_prob(count)), atol=3e-6)


def test_a_million_counts_censored_and_truncated():
    found = gm.censored(dist.Poisson(1e6), high=1_000_500).log_prob(1_000_500)
    np.testing.assert_allclose(found, stats.poisson(1e6).logsf(1_000_499), rtol=1e-4)
    law = gm.truncated(dist.Poisson(1e6), high=1_000_000)
    expected = stats.poisson(1e6).logpmf(999_990) - stats.poisson(1e6).logcdf(1_000_000)
    np.testing.assert_allclose(law.log_prob(999_990), expected, rtol=1e-4)
    draws = np.asarray(law.sample(jax.random.key(0), (4000,)))
    share = (stats.poisson(1e6).cdf(draws) / stats.poisson(1e6).cdf(1_000_000)).astype(float)
    assert stats.kstest(share, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("far", [-1.0, -490.0, -5000.0])
def test_the_score_of_a_normal_cut_far_out_keeps_its_digits(far):
    """Far out the excess over the bound is exponential: the score is the excess over the variance."""
    score = jax.grad(lambda mu: gm.truncated(dist.Normal(mu, 0.1), low=10.0).log_prob(10.05))(far)
    excess, z = np.float64(np.float32(10.05)) - 10.0, (10.0 - far) / 0.1
    expected = excess / 0.01 - (1 / z) / 0.1  # the hazard is z + 1 / z - ...
    np.testing.assert_allclose(score, expected, rtol=1e-3)
    if far < -1000.0:
        return  # the excess is of the size of the gap between two numbers near 10
    draws = np.asarray(gm.truncated(dist.Normal(far, 0.1), 10.0, 10.0 + 2e-3).sample(jax.random.key(0), (4000,)))
    share = np.expm1(-z * (draws.astype(float) - 10.0) / 0.1) / np.expm1(-z * 2e-3 / 0.1)
    assert stats.kstest(share, "uniform").pvalue > 1e-4
