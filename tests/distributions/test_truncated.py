import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

import gmdsl as gm

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (30.0, 31.0), (-40.0, -39.0), (8.0, np.inf), (-np.inf, -8.0)])
def test_the_truncated_normal_agrees_with_scipy_in_the_tails(low, high):
    x = low + 0.3 if low > -np.inf else high - 0.3
    law = gm.truncated(dist.Normal(0.0, 1.0), low, high)
    np.testing.assert_allclose(law.log_prob(x), stats.truncnorm(low, high).logpdf(x), rtol=1e-9)
    assert law.log_prob(low - 0.1 if low > -np.inf else high + 0.1) == -np.inf
    slope = jax.grad(lambda m: gm.truncated(dist.Normal(m, 1.0), low, high).log_prob(x))(0.0)
    h = 1e-5
    rise = stats.norm.logpdf(x - h) - stats.norm.logpdf(x + h)

    def log_mass(m):
        a, b = (low - m, high - m) if low < 0 else (m - high, m - low)  # by symmetry, in the lower tail
        return stats.norm.logcdf(b) + np.log1p(-np.exp(stats.norm.logcdf(a) - stats.norm.logcdf(b)))

    np.testing.assert_allclose(slope, (rise - log_mass(h) + log_mass(-h)) / (2 * h), rtol=1e-4)


@pytest.mark.parametrize("rate", [1.0, 3.0])
def test_the_mass_far_out_is_that_of_the_smaller_tail(rate):
    law = gm.truncated(dist.Exponential(rate), 800.0, 801.0)
    expected = np.log(rate) - 0.4 * rate - np.log(-np.expm1(-rate))
    np.testing.assert_allclose(law.log_prob(800.4), expected, rtol=1e-11)


LAWS = {
    "normal": (lambda: gm.truncated(dist.Normal(1.0, 2.0), -0.5, 4.0), stats.norm(1, 2), -0.5, 4.0),
    "far": (lambda: gm.truncated(dist.Normal(0.0, 1.0), 12.0), stats.norm(0, 1), 12.0, np.inf),
    "below": (lambda: gm.truncated(dist.Normal(0.0, 1.0), high=-2.0), stats.norm(0, 1), -np.inf, -2.0),
    "student": (lambda: gm.truncated(dist.StudentT(3.0, 1.0, 2.0), 2.0), stats.t(3, 1, 2), 2.0, np.inf),
    "gamma": (lambda: gm.truncated(dist.Gamma(2.0, 1.5), high=1.0), stats.gamma(2, scale=1 / 1.5), 0.0, 1.0),
    "cauchy": (lambda: gm.truncated(dist.Cauchy(0.0, 1.0), -1e4, 50.0), stats.cauchy(), -1e4, 50.0),
    "weibull": (lambda: gm.truncated(dist.Weibull(2.0, 1.5), 1.0, 2.0), stats.weibull_min(1.5, scale=2), 1.0, 2.0),
    "inverse gamma": (lambda: gm.truncated(dist.InverseGamma(3.0, 2.0), 0.5), stats.invgamma(3, scale=2), 0.5, np.inf),
}


@pytest.mark.parametrize("law", LAWS)
def test_draws_follow_the_truncated_law(law):
    make, reference, low, high = LAWS[law]
    x = np.asarray(make().sample(jax.random.key(4), (20_000,)))
    assert x.min() >= low
    assert x.max() <= high
    mass = reference.sf(low) - reference.sf(high)
    uniform = (reference.sf(low) - reference.sf(x)) / mass
    assert stats.kstest(uniform, "uniform").pvalue > 1e-4  # false alarm 1e-4 per law


def test_draws_thirty_standard_deviations_out_do_not_sit_on_the_bound():
    x = np.asarray(gm.truncated(dist.Normal(0.0, 1.0), 30.0).sample(jax.random.key(0), (50_000,)))
    mean = np.exp(stats.norm.logpdf(30.0) - stats.norm.logsf(30.0))
    assert abs(x.mean() - mean) < 4.5 * x.std() / np.sqrt(50_000)
    assert (x > 30.0).all()


@pytest.mark.parametrize(("low", "high"), [(2, 5), (2, None), (None, 4)])
def test_counts_keep_both_bounds_and_add_to_one(low, high):
    law = gm.truncated(dist.Poisson(3.0), low, high)
    first, last = (0 if low is None else low), (60 if high is None else high)
    counts = np.arange(first, last + 1)
    reference = stats.poisson(3).pmf(counts)
    np.testing.assert_allclose(np.exp(law.log_prob(counts)), reference / reference.sum(), rtol=1e-9)
    x = np.asarray(law.sample(jax.random.key(2), (20_000,)))
    expected = reference / reference.sum() * 20_000
    seen = np.array([(x == k).sum() for k in counts])
    merged = expected > 5
    chi = ((seen - expected)[merged] ** 2 / expected[merged]).sum()
    assert stats.chi2(merged.sum() - 1).sf(chi) > 1e-4
    assert seen.sum() == 20_000


def test_a_bound_outside_the_support_cuts_nothing():
    plain, cut = dist.Gamma(2.0, 1.0), gm.truncated(dist.Gamma(2.0, 1.0), low=-1.0, high=50.0)
    np.testing.assert_allclose(cut.log_prob(1.3), plain.log_prob(1.3), rtol=1e-12)
    assert np.isfinite(jax.grad(lambda a: gm.truncated(dist.LogNormal(a, 1.0), 0.0, 3.0).log_prob(1.0))(0.2))


def test_the_support_is_known_and_moves_with_its_bounds():
    fixed = gm.joint(x=gm.truncated(dist.Normal(0.0, 1.0), -1.0, 2.0))
    assert fixed.spaces["x"] == gm.Interval(-1.0, 2.0)
    moving = gm.joint(b=dist.HalfNormal(1.0), x=lambda b: gm.truncated(dist.Normal(0.0, 1.0), low=-b))
    density = gm.compile(moving)
    point = density.constrain(jnp.array([0.3, -40.0]))
    assert float(point["x"]) >= -float(point["b"])
    at = {"b": 0.5, "x": 0.2}
    np.testing.assert_allclose(density.constrain(density.unconstrain(at))["x"], 0.2, rtol=1e-12)
    expected = stats.halfnorm.logpdf(0.5) + stats.truncnorm(-0.5, np.inf).logpdf(0.2)
    np.testing.assert_allclose(density.log_density(at), expected, rtol=1e-12)


def test_some_infinite_bounds_are_refused():
    with pytest.raises(gm.SpecError, match="some bounds are infinite"):
        gm.truncated(dist.Normal(0.0, 1.0), jnp.array([-jnp.inf, 1.0]))


def test_a_bound_outside_of_the_support_cuts_nothing_off():
    for base, low in ((dist.HalfNormal(1.0), -1.0), (dist.Pareto(0.3, 2.0), 0.2)):
        assert gm.truncated(base, low=low) is base
    model = gm.joint(a=dist.Uniform(0.1, 1.8), x=lambda a: gm.truncated(dist.Pareto(0.3, a), low=0.2))
    np.testing.assert_allclose(
        gm.compile(model).log_density({"a": 1.0, "x": 0.5}), np.log(1 / 1.7 * 0.3 / 0.25), rtol=1e-5
    )
