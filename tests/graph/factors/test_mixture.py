import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def normal(mean, sd):
    return gm.joint(x=dist.Normal(mean, sd))


def two():
    return gm.mixture([0.3, 0.7], normal(-2.0, 0.5), normal(1.0, 1.5))


def exact(x):
    return np.log(0.3 * stats.norm.pdf(x, -2.0, 0.5) + 0.7 * stats.norm.pdf(x, 1.0, 1.5))


def test_the_density_is_the_weighted_sum_of_the_densities_of_the_parts(x64):
    density = gm.compile(two())
    assert density.free == ("x",)
    for x in (-3.0, 0.2, 40.0):
        np.testing.assert_allclose(density.log_density({"x": x}), exact(x), rtol=1e-12)
    slope = (exact(0.2 + 1e-6) - exact(0.2 - 1e-6)) / 2e-6
    np.testing.assert_allclose(density.score({"x": 0.2})["x"], slope, rtol=1e-6)


def test_a_mixture_is_normalised_and_can_be_drawn_from():
    offer = two().capabilities()
    assert (offer.normalized, offer.drawable, offer.score) == (True, True, "exact")
    draws = np.asarray(two().sample(jax.random.key(0), 20_000)["x"])
    grid = np.array([-2.5, -2.0, -1.0, 0.0, 2.0])
    cdf = 0.3 * stats.norm.cdf(grid, -2.0, 0.5) + 0.7 * stats.norm.cdf(grid, 1.0, 1.5)
    found = (draws[:, None] < grid).mean(0)
    assert (np.abs(found - cdf) < 4.0 * np.sqrt(cdf * (1 - cdf) / 20_000)).all()


def test_constants_of_another_type_do_not_share_a_program(x64):
    def part(n):
        return gm.joint(n=n, x=lambda n: dist.Normal(0.0 if isinstance(n, int) else 5.0, 1.0))

    values = [float(gm.compile(gm.mixture([1.0], part(n))).log_density({"x": 0.0})) for n in (1, 1.0)]
    np.testing.assert_allclose(values, stats.norm.logpdf([0.0, 5.0]), rtol=1e-12)


def test_supports_carry_their_jacobian_once(x64):
    model = gm.mixture([0.4, 0.6], gm.joint(x=dist.HalfNormal(1.0)), gm.joint(x=dist.Gamma(2.0, 3.0)))
    density, u = gm.compile(model), 0.3
    x = np.exp(u)
    value = np.log(0.4 * stats.halfnorm.pdf(x) + 0.6 * stats.gamma.pdf(x, 2.0, scale=1 / 3)) + u
    np.testing.assert_allclose(density.target.log_density(np.array([u])), value, rtol=1e-12)
    np.testing.assert_allclose(density.unconstrain({"x": x}), [u], rtol=1e-12)


def test_a_mixture_of_mixtures_is_a_mixture(x64):
    model = gm.mixture([0.5, 0.5], two(), normal(4.0, 1.0))
    truth = np.log(0.5 * np.exp(exact(0.5)) + 0.5 * stats.norm.pdf(0.5, 4.0, 1.0))
    np.testing.assert_allclose(gm.compile(model).log_density({"x": 0.5}), truth, rtol=1e-12)
    draws = np.asarray(model.sample(jax.random.key(0), 20_000)["x"])
    grid = np.array([-2.0, 0.0, 2.0, 4.0])
    cdf = (
        0.15 * stats.norm.cdf(grid, -2.0, 0.5) + 0.35 * stats.norm.cdf(grid, 1.0, 1.5) + 0.5 * stats.norm.cdf(grid, 4.0)
    )
    found = (draws[:, None] < grid).mean(0)
    assert (np.abs(found - cdf) < 4.5 * np.sqrt(cdf * (1 - cdf) / 20_000)).all()  # false alarms: 3e-5


def test_the_label_is_shared_by_all_variables_and_the_rest_is_drawn_given_one(x64):
    def pair(m):
        return gm.joint(x=dist.Normal(m, 0.1), y=lambda x: dist.Normal(x, 0.1))

    model = gm.mixture([0.5, 0.5], pair(-3.0), pair(3.0))
    draws = model.sample(jax.random.key(0), 500)
    assert (np.sign(draws["x"]) == np.sign(draws["y"])).all()
    offer = model.condition(x=3.0).capabilities()
    assert not offer.drawable
    assert "observed in part" in offer.reasons["drawable"]
    factor = model.factors[0]
    drawn = factor.draw(jax.random.key(0), {"x": jnp.array(3.0)}, (200,))
    assert (drawn["y"] > 2.0).all()
    with pytest.raises(gm.SpecError, match="y is observed below x"):
        factor.draw(jax.random.key(0), {"y": jnp.array(3.0)})


def test_a_weight_of_zero_takes_a_part_out(x64):
    model = gm.mixture([0.0, 1.0], normal(-2.0, 0.5), normal(1.0, 1.5))
    np.testing.assert_allclose(gm.compile(model).log_density({"x": 0.3}), stats.norm.logpdf(0.3, 1.0, 1.5), rtol=1e-12)
    assert np.isfinite(gm.compile(model).score({"x": 0.3})["x"])
