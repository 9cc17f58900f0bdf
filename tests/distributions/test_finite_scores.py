"""Scores of sums in which a term is -inf, against central differences; values against NumPyro's."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import gmdsl as gm
from gmdsl.distributions.finite_scores import with_finite_scores


def either(zero, full, value):
    """A mixture by hand of a law without mass at the value and a full one, as a function of one parameter."""

    def density(a):
        terms = [with_finite_scores(make(a), labels=True).log_prob(value) for make in (zero, full)]
        return jnp.logaddexp(jnp.log(0.3) + terms[0], jnp.log(0.7) + terms[1])

    return density


@pytest.mark.parametrize(
    ("zero", "full", "value", "mass"),
    [
        (lambda a: dist.Poisson(0.0 * a), dist.Poisson, 3, 0.0),
        (lambda a: dist.Poisson(0.0 * a), dist.Poisson, 0, 1.0),
        (lambda a: dist.Geometric(1.0 + 0.0 * a), dist.Geometric, 2, 0.0),
        (lambda a: dist.Geometric(1.0 + 0.0 * a), dist.Geometric, 0, 1.0),
        (
            lambda a: dist.Multinomial(3, jnp.stack([0.0 * a, 1.0 + 0.0 * a])),
            lambda a: dist.Multinomial(3, jnp.stack([a, 1.0 - a])),
            jnp.array([1, 2]),
            0.0,
        ),
        (
            lambda a: dist.Poisson(0.0 * a).expand([2]).to_event(1),
            lambda a: dist.Poisson(a).expand([2]).to_event(1),
            jnp.array([0, 2]),
            0.0,
        ),
        (lambda a: dist.Poisson(0.0 * a).mask(True), lambda a: dist.Poisson(a).mask(True), 1, 0.0),
    ],
)
def test_a_law_without_mass_adds_nothing_to_the_score(x64, zero, full, value, mass):
    density, step = either(zero, full, value), 1e-6
    right = (density(0.4 + step) - density(0.4 - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(density)(0.4), right, rtol=1e-7)
    np.testing.assert_allclose(jnp.exp(density(0.4)), 0.3 * mass + 0.7 * jnp.exp(full(0.4).log_prob(value)), rtol=1e-12)


@pytest.mark.parametrize(
    "part",
    [
        lambda a: dist.Gamma(a, 2.0),
        lambda a: dist.Beta(a, 2.0),
        lambda a: dist.LogNormal(a, 1.0),
        lambda a: dist.InverseGamma(a, 2.0),
        lambda a: dist.Chi2(a),
        lambda a: dist.Weibull(a, 2.0),
    ],
)
@pytest.mark.parametrize("value", [-1.0, 0.4])
@pytest.mark.filterwarnings("ignore:Out-of-support")  # NumPyro's own formula, for the value
def test_parts_of_a_mixture_are_evaluated_in_their_support(x64, part, value):
    def mixed(a):
        parts = [dist.Normal(a, 2.0), part(a)]
        weights = dist.Categorical(probs=jnp.array([0.4, 0.6]))
        return dist.MixtureGeneral(weights, parts, support=constraints.real)

    density, step = lambda a: with_finite_scores(mixed(a)).log_prob(value), 1e-6
    np.testing.assert_allclose(density(0.9), mixed(0.9).log_prob(value), rtol=1e-12)
    right = (density(0.9 + step) - density(0.9 - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(density)(0.9), right, rtol=1e-7)


@pytest.mark.parametrize(
    ("law", "value"),
    [
        (lambda c: dist.Beta(1.0, c), 0.0),
        (lambda c: dist.Beta(c, 1.0), 1.0),
        (lambda c: dist.Dirichlet(jnp.stack([jnp.ones(()), c, 1.5 * c])), jnp.array([0.0, 0.4, 0.6])),
    ],
)
def test_closed_ends_have_the_slope_of_the_other_parameters(x64, law, value):
    density, step = lambda c: with_finite_scores(law(c)).log_prob(value), 1e-6
    right = (density(3.0 + step) - density(3.0 - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(density)(3.0), right, rtol=1e-7)
    inside = jnp.where(jnp.asarray(value) == 0, 1e-12, value)  # the limit
    inside = jnp.where(inside == 1, 1 - 1e-12, inside)
    np.testing.assert_allclose(density(3.0), law(3.0).log_prob(inside), rtol=1e-9)


@pytest.mark.parametrize("law", [dist.Beta(0.7, 2.5), dist.Dirichlet(jnp.array([0.7, 2.5, 1.0]))])
def test_shares_inside_have_the_density_of_numpyro(x64, law):
    value = law.sample(jax.random.key(0), (20,))
    np.testing.assert_allclose(with_finite_scores(law).log_prob(value), law.log_prob(value), rtol=1e-12)


@pytest.mark.parametrize("distribution", [dist.Normal(0.0, 1.0), dist.Gamma(2.0, 1.0).expand([3]).to_event(1)])
def test_other_laws_are_left_alone(distribution):
    assert with_finite_scores(distribution) is distribution


def test_zero_inflation_by_a_label_has_the_score_of_the_written_out_law(x64):
    y = jnp.array([0, 0, 3, 1])
    labelled = gm.joint(
        p=dist.Beta(2.0, 2.0),
        rate=dist.Gamma(2.0, 1.0),
        z=lambda p: dist.Bernoulli(p).expand([4]),
        y=lambda z, rate: dist.Poisson(rate * (1 - z)),
    )
    written = gm.joint(
        p=dist.Beta(2.0, 2.0),
        rate=dist.Gamma(2.0, 1.0),
        y=lambda p, rate: dist.ZeroInflatedPoisson(p, rate).expand([4]),
    )
    point = {"p": 0.3, "rate": 1.5}
    first, second = (gm.compile(m) for m in (labelled.condition(y=y).marginalize("z"), written.condition(y=y)))
    np.testing.assert_allclose(first.log_density(point), second.log_density(point), rtol=1e-10)
    for name in point:
        np.testing.assert_allclose(first.score(point)[name], second.score(point)[name], rtol=1e-10)
