import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.integrate import quad

import gmdsl as gm
from gmdsl.exact.missing_power import knows_power, powered_log_prob

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("exponent", [0.5, 2.0, 3.0])
@pytest.mark.parametrize(
    ("law", "low", "high"),
    [
        (dist.Normal(0.4, 1.7), -40.0, 40.0),
        (dist.Laplace(0.4, 1.7), -150.0, 150.0),
        (dist.Exponential(0.7), 0.0, 200.0),
        (dist.Uniform(-0.5, 2.0), -0.5, 2.0),
    ],
)
def test_the_integral_of_a_power_is_that_of_quadrature(law, low, high, exponent):
    def density(y):
        return float(jnp.exp(exponent * law.log_prob(y)))

    area = quad(density, low, high, points=[0.4], epsabs=1e-13, epsrel=1e-12, limit=400)[0]
    found = powered_log_prob(law.expand([2]), jnp.array([np.nan, 0.6]), exponent)
    np.testing.assert_allclose(found, [np.log(area), np.log(density(0.6))], rtol=1e-9)


@pytest.mark.parametrize("exponent", [0.5, 2.0])
def test_the_missing_coordinate_of_a_powered_gaussian_is_integrated_out(exponent):
    law = dist.MultivariateNormal(jnp.array([0.3, -0.2]), jnp.array([[2.0, 0.7], [0.7, 1.0]]))
    area = quad(lambda y: float(jnp.exp(exponent * law.log_prob(jnp.array([0.9, y])))), -30.0, 30.0, epsabs=1e-13)[0]
    found = powered_log_prob(law, jnp.array([0.9, np.nan]), exponent)
    np.testing.assert_allclose(found, np.log(area), rtol=1e-9)
    whole = jnp.array([0.9, 0.1])
    np.testing.assert_allclose(powered_log_prob(law, whole, exponent), exponent * law.log_prob(whole), rtol=1e-12)


def test_finitely_many_values_are_listed():
    law = dist.Categorical(jnp.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]))
    found = powered_log_prob(law, jnp.array([np.nan, 2.0]), 2.0)
    np.testing.assert_allclose(found, np.log([0.04 + 0.09 + 0.25, 0.64]), rtol=1e-12)
    found = powered_log_prob(dist.Bernoulli(0.3).expand([2]).to_event(1), jnp.array([np.nan, 1.0]), 0.5)
    np.testing.assert_allclose(found, np.log((np.sqrt(0.3) + np.sqrt(0.7)) * np.sqrt(0.3)), rtol=1e-12)
    assert not knows_power(dist.Gamma(2.0, 1.0))
    assert not knows_power(dist.Dirichlet(jnp.ones(3)))


def test_gaps_after_a_power_are_integrated_out_of_the_powered_density():
    model = (
        gm.joint(mu=dist.Normal(0, 1), s=dist.HalfNormal(1.0), y=lambda mu, s: dist.Normal(mu, s).expand([3])) ** 2.0
    )
    y = np.array([0.3, np.nan, -0.4])
    density = gm.compile(model.condition(y=y, missing="marginalise"))
    whole = gm.compile(model)

    def brute(mu, s):
        def at(gap):
            return float(jnp.exp(whole.log_density({"mu": mu, "s": s, "y": np.where(np.isnan(y), gap, y)})))

        return np.log(quad(at, -30.0, 30.0, epsabs=1e-14, epsrel=1e-11, points=[mu])[0])

    for mu, s in ((0.1, 0.5), (-0.7, 1.5)):
        np.testing.assert_allclose(density.log_density({"mu": mu, "s": s}), brute(mu, s), rtol=1e-8)
    other = density.with_data(y=np.array([np.nan, 0.2, -0.4]))
    y = np.array([np.nan, 0.2, -0.4])
    np.testing.assert_allclose(other.log_density({"mu": 0.1, "s": 0.5}), brute(0.1, 0.5), rtol=1e-8)


def test_gaps_before_a_power_are_the_power_of_what_was_seen_and_may_move():
    model = gm.joint(mu=dist.Normal(0, 1), y=lambda mu: dist.Normal(mu, 0.5).expand([2]))
    density = gm.compile(model.condition(y=[0.3, np.nan], missing="marginalise") ** 2.0)

    def exact(mu, y):
        return 2.0 * (dist.Normal(0.0, 1.0).log_prob(mu) + dist.Normal(mu, 0.5).log_prob(y))

    np.testing.assert_allclose(density.log_density({"mu": 0.1}), exact(0.1, 0.3), rtol=1e-12)
    moved = density.with_data(y=np.array([np.nan, -0.2]))
    np.testing.assert_allclose(moved.log_density({"mu": 0.1}), exact(0.1, -0.2), rtol=1e-12)


@pytest.mark.parametrize(
    ("model", "power"),
    [
        (gm.joint(a=dist.HalfNormal(1.0), y=lambda a: dist.Gamma(a, 1.0).expand([2])), 2.0),
        (gm.joint(a=dist.HalfNormal(1.0), y=lambda a: dist.Normal(0.0, a).expand([2])), -1.0),
    ],
)
def test_powers_whose_integral_is_not_known_are_refused_with_the_other_order(model, power):
    message = (
        r"y has gaps under a power, and the integral of p\(y \| a\) \*\* .* \.condition\(y=..., missing=...\) \*\* "
    )
    with pytest.raises(gm.SpecError, match=message):
        (model**power).condition(y=[0.3, np.nan], missing="marginalise")


def test_something_else_that_reads_a_variable_with_gaps_under_a_power_is_refused():
    model = gm.joint(y=dist.Normal(0.0, 1.0).expand([2])) ** 2.0
    gappy = model.condition(y=[0.3, np.nan], missing="marginalise")
    with pytest.raises(gm.SpecError, match="reads y, missing elements included"):
        gappy * gm.energy(lambda y: jnp.sum(y**2), y=gm.Real(2))


@pytest.mark.parametrize("order", ["gaps alone", "gaps, then a power", "a power, then gaps"])
def test_a_traced_value_outside_of_a_support_that_is_closed_at_its_end_has_no_density_beside_gaps(order):
    model = gm.joint(a=dist.Exponential(1.0), y=lambda a: dist.Exponential(a).expand([3]))

    @jax.jit
    def density(last):
        seen = jnp.array([0.0, jnp.nan, 1.0]).at[2].set(last)
        given = model**2.0 if order == "a power, then gaps" else model
        given = given.condition(y=seen, missing="marginalise")
        given = given**2.0 if order == "gaps, then a power" else given
        return gm.compile(given).log_density({"a": 2.0})

    power = 1.0 if order == "gaps alone" else 2.0
    gone = np.log(2.0**2 / 4.0) if order == "a power, then gaps" else 0.0  # the integral of 4 exp(-4 y) over a gap
    exact = power * (-2.0 + 2.0 * np.log(2.0) - 2.0 * 3.0) + gone
    np.testing.assert_allclose(density(3.0), exact, rtol=1e-5)
    assert density(-3.0) == -np.inf
