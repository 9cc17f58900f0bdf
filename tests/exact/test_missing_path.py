"""Paths with gaps, against dense Gaussians, sums over all paths, and shorter paths."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

import gmdsl as gm
from gmdsl.exact.gaps import missing_factor

pytestmark = pytest.mark.usefixtures("x64")

NAN = np.nan
Y = np.array([0.3, 0.5, NAN, NAN, 0.2, 0.1, -0.3])


def autoregression(count=7, first=lambda phi, s: dist.Normal(0.0, s / jnp.sqrt(1.0 - phi**2))):
    return gm.joint(
        phi=dist.Uniform(-1.0, 1.0),
        s=dist.HalfNormal(1.0),
        y=gm.scan(lambda before, phi, s: dist.Normal(phi * before, s), first=first, length=count),
    )


def prior(phi, s):
    return stats.uniform(-1.0, 2.0).logpdf(phi) + stats.halfnorm.logpdf(s)


def covariance(phi, s, count=7):
    steps = np.arange(count)
    return s**2 / (1.0 - phi**2) * phi ** np.abs(steps[:, None] - steps)


def test_gaps_inside_of_an_autoregression_leave_the_gaussian_of_the_rest():
    density = gm.compile(autoregression().condition(y=Y, missing="marginalise"))
    there = np.flatnonzero(~np.isnan(Y))
    for phi, s in ((0.5, 0.4), (-0.7, 1.3)):
        truth = stats.multivariate_normal(cov=covariance(phi, s)[np.ix_(there, there)]).logpdf(Y[there])
        np.testing.assert_allclose(density.log_density({"phi": phi, "s": s}) - prior(phi, s), truth, rtol=1e-10)
    at = lambda phi: float(density.log_density({"phi": phi, "s": 0.4}))  # noqa: E731
    short = gm.compile(autoregression(first=lambda s: dist.Normal(0.0, s)).condition(y=Y, missing="marginalise"))
    np.testing.assert_allclose(short.log_density({"phi": 0.5, "s": 0.4}), -2.240034279, atol=1e-9)
    slope = (at(0.5 + 1e-6) - at(0.5 - 1e-6)) / 2e-6
    np.testing.assert_allclose(density.score({"phi": 0.5, "s": 0.4})["phi"], slope, rtol=1e-7)


def test_gaps_at_the_end_of_a_path_leave_the_shorter_path():
    whole = gm.compile(autoregression().condition(y=np.r_[Y[:2], np.full(5, NAN)], missing="marginalise"))
    short = gm.compile(autoregression(2).condition(y=Y[:2]))
    at = {"phi": 0.6, "s": 0.5}
    np.testing.assert_allclose(whole.log_density(at), short.log_density(at), rtol=1e-12)


def heavy(count, carry=None):
    if carry is None:
        return gm.scan(lambda before, s: dist.StudentT(4.0, before, s), first=dist.StudentT(4.0), length=count)

    def step(before, h, s):
        h = 0.1 + 0.5 * before**2 + 0.3 * h
        return h, dist.Normal(0.0, s * jnp.sqrt(h))

    return gm.scan(step, first=dist.Normal(0.0, 1.0), length=count, carry=carry)


@pytest.mark.parametrize("carry", [None, 1.0])
def test_any_path_may_end_early_and_is_refused_with_gaps_inside(carry):
    joint = lambda count: gm.joint(s=dist.HalfNormal(1.0), y=heavy(count, carry))  # noqa: E731
    model = joint(5).condition(y=[0.1, 0.4, -0.2, NAN, NAN], missing="marginalise")
    short = gm.compile(joint(3).condition(y=[0.1, 0.4, -0.2]))
    found, score = gm.compile(model).log_density_and_score({"s": 0.8})
    np.testing.assert_allclose(found, short.log_density({"s": 0.8}), rtol=1e-12)
    np.testing.assert_allclose(score["s"], short.score({"s": 0.8})["s"], rtol=1e-12)
    with pytest.raises(gm.SpecError, match=r"y\[1\] is missing and something after it is not, .* only the end"):
        joint(5).condition(y=[0.1, NAN, -0.2, 0.3, NAN], missing="marginalise")


def test_draws_of_a_missing_end_go_on_from_the_last_value():
    model = gm.joint(y=gm.scan(lambda before: dist.Laplace(before, 0.1), first=dist.Laplace(0.0, 1.0), length=3))
    seen = np.array([5.0, NAN, NAN])
    factor = missing_factor(model.condition(y=seen, missing="marginalise"), "y")
    keys = jax.random.split(jax.random.key(2), 20_000)
    draws = np.asarray(jax.vmap(lambda key: factor.imputed(key, {}, seen))(keys))
    error = 0.1 * np.sqrt(2.0) * np.sqrt([1.0, 2.0]) / np.sqrt(len(draws))
    assert np.all(np.abs(draws[:, 1:].mean(0) - 5.0) < 4.0 * error)
    np.testing.assert_allclose(draws[:, 1:].var(0), [0.02, 0.04], rtol=0.06)


def test_a_scale_that_may_leave_its_constraint_has_no_mass_there():
    model = gm.joint(
        s=dist.Normal(1.0, 1.0),
        y=gm.scan(lambda before, s: dist.Normal(before, s), first=dist.Normal(0.0, 1.0), length=3),
    )
    density = gm.compile(model.condition(y=[0.1, NAN, 0.3], missing="marginalise"))
    assert density.log_density({"s": -0.5}) == -jnp.inf
    assert np.isfinite(density.log_density({"s": 0.5}))


def test_forecasts_follow_a_run():
    model = autoregression(7).condition(y=np.r_[Y[:2], 0.1, 0.4, np.full(3, NAN)], missing="marginalise")
    tree = gm.sample(model, gm.NUTS(), chains=2, draws=300, warmup=300, seed=0, progress=False)
    drawn = gm.predict(tree, model)
    ahead = np.asarray(drawn["posterior_predictive"]["y"])[..., 4]
    phi = np.asarray(tree["posterior"]["phi"])
    assert abs((ahead - 0.4 * phi).mean()) < 5.0 * ahead.std() / np.sqrt(ahead.size / 4)
