import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

import gmdsl as gm

pytestmark = pytest.mark.usefixtures("x64")


def test_the_likelihood_is_the_density_inside_and_the_mass_beyond():
    y = np.array([-1.0, -3.0, 0.4, 2.0, 5.0])
    found = gm.censored(dist.Normal(0.3, 1.5), -1.0, 2.0).log_prob(y)
    law = stats.norm(0.3, 1.5)
    expected = [law.logcdf(-1), law.logcdf(-1), law.logpdf(0.4), law.logsf(2), law.logsf(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_bounds_differ_by_row_and_infinite_ones_leave_the_score_finite():
    time, last = np.array([1.0, 2.5, 4.0]), np.array([np.inf, 2.5, np.inf])
    model = gm.joint(
        rate=dist.Gamma(2.0, 3.0),
        last=gm.data(last),
        t=lambda rate, last: gm.censored(dist.Weibull(1 / rate, 1.7), high=last),
    )
    density = gm.compile(model.condition(t=time))
    rate = 0.6
    law = stats.weibull_min(1.7, scale=1 / rate)
    expected = stats.gamma(2, scale=1 / 3).logpdf(rate) + law.logpdf(1.0) + law.logsf(2.5) + law.logpdf(4.0)
    found, score = density.log_density_and_score({"rate": rate})
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    h = 1e-6
    slope = (density.log_density({"rate": rate + h}) - density.log_density({"rate": rate - h})) / (2 * h)
    np.testing.assert_allclose(score["rate"], slope, rtol=1e-7)


@pytest.mark.parametrize("z", [30.0, 200.0])
def test_the_score_is_exact_far_in_the_tail(z):
    slope = jax.grad(lambda m: gm.censored(dist.Normal(m, 1.0), high=z).log_prob(z))(0.0)
    np.testing.assert_allclose(slope, np.exp(stats.norm.logpdf(z) - stats.norm.logsf(z)), rtol=1e-9)
    assert np.isfinite(jax.grad(lambda m: gm.censored(dist.Normal(m, 1.0), high=z).log_prob(0.3))(0.0))


def test_counts_have_the_mass_of_the_bound_itself():
    law = gm.censored(dist.Poisson(3.0), low=2, high=5)
    mass = np.exp(law.log_prob(np.arange(2, 6)))
    reference = stats.poisson(3)
    np.testing.assert_allclose(
        mass, [reference.cdf(2), reference.pmf(3), reference.pmf(4), reference.sf(4)], rtol=1e-10
    )
    np.testing.assert_allclose(mass.sum(), 1.0, rtol=1e-12)


def test_draws_are_clipped_and_the_law_is_proper():
    model = gm.joint(y=gm.censored(dist.Exponential(0.5).expand([2]), high=1.5))
    assert model.capabilities().normalized
    assert model.capabilities().drawable
    y = np.asarray(model.sample(jax.random.key(0), 20_000)["y"])
    assert y.max() == 1.5
    share, law = (y == 1.5).mean(axis=0), stats.expon(scale=2)
    error = np.sqrt(law.sf(1.5) * law.cdf(1.5) / 20_000)
    assert np.abs(share - law.sf(1.5)).max() < 4.5 * error  # false alarm 1e-5


def test_a_free_censored_variable_is_refused_by_samplers():
    model = gm.joint(m=dist.Normal(0, 1), y=lambda m: gm.censored(dist.Normal(m, 1.0), low=0.0).expand([2]))
    with pytest.raises(gm.SpecError, match=r"p\(y \| m\): y is free, but it is censored: .* Condition on y"):
        gm.sample(model, gm.NUTS(), draws=2, warmup=2, progress=False)


def test_censored_lifetimes_have_the_posterior_in_closed_form():
    """Exponential lifetimes with a Gamma(a, b) rate: the posterior is Gamma(a + events, b + time at risk)."""
    rng = np.random.default_rng(3)
    time = np.minimum(rng.exponential(2.0, size=40), 3.0)
    model = gm.joint(
        rate=dist.Gamma(2.0, 1.0), t=lambda rate: gm.censored(dist.Exponential(rate), high=3.0).expand([40])
    ).condition(t=time)
    exact = stats.gamma(2 + (time < 3.0).sum(), scale=1 / (1 + time.sum()))
    density = gm.compile(model)
    gap = [float(density.log_density({"rate": r})) - exact.logpdf(r) for r in (0.1, 0.5, 1.2)]
    np.testing.assert_allclose(gap, gap[0], rtol=1e-12)
    tree = gm.sample(model, gm.NUTS(), draws=1000, warmup=500, seed=1, progress=False)
    import arviz as az

    draws = tree["posterior"]["rate"].values
    z = (draws.mean() - exact.mean()) / (exact.std() / np.sqrt(az.ess(draws, method="mean")))
    assert abs(z) < 4.0


def test_bounds_are_traced_through_a_joint():
    model = gm.joint(b=dist.HalfNormal(1.0), y=lambda b: gm.censored(dist.Normal(0.0, 1.0), high=b).expand([2]))
    density = gm.compile(model.condition(y=[0.2, 5.0]))
    found = density.log_density({"b": 1.0})
    expected = stats.halfnorm.logpdf(1.0) + stats.norm.logpdf(0.2) + stats.norm.logsf(1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(jnp.shape(gm.censored(dist.Normal(0.0, 1.0), low=jnp.zeros(3)).log_prob(0.5)), (3,))
