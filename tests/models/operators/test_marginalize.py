import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def school():
    return gm.joint(
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfCauchy(5.0),
        theta=lambda mu, tau: dist.Normal(mu, tau).expand([3]),
        best=lambda theta: jnp.max(theta),
        y=lambda theta, sigma: dist.Normal(theta, sigma),
        sigma=gm.data([1.0, 2.0, 3.0]),
        dims={"theta": ["school"], "y": ["school"]},
        coords={"school": ["a", "b", "c"]},
    )


def test_what_nothing_depends_on_is_dropped_exactly(x64):
    left = school().marginalize("y", "theta")
    assert (left.random, left.deterministic) == (("mu", "tau"), ())
    assert (left.dims, left.coords) == ((), ())
    truth = stats.norm.logpdf(0.3, 0.0, 5.0) + stats.halfcauchy.logpdf(2.0, 0.0, 5.0)
    np.testing.assert_allclose(gm.compile(left).log_density({"mu": 0.3, "tau": 2.0}), truth, rtol=1e-12)
    assert school().marginalize("theta", "y").factors == left.factors


def test_any_law_is_dropped_when_nothing_depends_on_it():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.StudentT(3.0, a**2, 1.0)).marginalize("b")
    assert model.free == ("a",)


def test_effects_are_integrated_out_of_observed_children(x64):
    y = np.array([1.0, -2.0, 4.0])
    posterior = school().condition(y=y).marginalize("theta")
    density = gm.compile(posterior)
    assert density.free == ("mu", "tau")
    assert posterior.deterministic == ()
    assert posterior.dims == (("y", ("school",)),)
    prior = stats.norm.logpdf(0.3, 0.0, 5.0) + stats.halfcauchy.logpdf(2.0, 0.0, 5.0)
    truth = prior + stats.norm.logpdf(y, 0.3, np.sqrt(4.0 + np.array([1.0, 4.0, 9.0]))).sum()
    np.testing.assert_allclose(density.log_density({"mu": 0.3, "tau": 2.0}), truth, rtol=1e-6)
    same = gm.compile(school().marginalize("theta").condition(y=y))
    np.testing.assert_allclose(same.log_density({"mu": 0.3, "tau": 2.0}), truth, rtol=1e-6)


def test_variables_that_no_factor_joins_are_integrated_apart():
    model = gm.joint(
        a=dist.Normal(0.0, 1.0),
        b=dist.Bernoulli(0.5),
        x=lambda a: dist.Normal(a, 1.0),
        y=lambda b: dist.Normal(b, 1.0),
    ).marginalize("a", "b")
    assert [factor.name for factor in model.factors] == ["p(x)", "p(y)"]


def test_labels_above_gaussians_are_summed_after_the_gaussians_are_integrated(x64):
    model = gm.joint(
        k=dist.Bernoulli(0.3),
        z=lambda k: dist.Normal(4.0 * k, 1.0 + k),
        x=lambda z, k: dist.Normal(z, 1.0),
    ).marginalize("k", "z")
    truth = np.log(0.7 * stats.norm.pdf(1.0, 0.0, np.sqrt(2.0)) + 0.3 * stats.norm.pdf(1.0, 4.0, np.sqrt(5.0)))
    np.testing.assert_allclose(gm.compile(model).log_density({"x": 1.0}), truth, rtol=1e-6)


def test_a_variable_that_two_factors_define_is_integrated_as_an_undirected_term(x64):
    model = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(k, 1.0)) * gm.joint(k=dist.Bernoulli(0.8))
    hidden = model.marginalize("k")
    assert not hidden.capabilities().normalized
    truth = np.log(0.7 * 0.2 * stats.norm.pdf(0.5, 0.0) + 0.3 * 0.8 * stats.norm.pdf(0.5, 1.0))
    np.testing.assert_allclose(gm.compile(hidden).log_density({"x": 0.5}), truth, rtol=1e-6)


def test_a_marginal_is_opened_when_more_of_it_is_hidden(x64):
    model = gm.joint(
        a=dist.Normal(0.0, 1.0),
        b=lambda a: dist.Normal(a, 1.0),
        x=lambda a, b: dist.Normal(a - 2.0 * b, 1.0),
    )
    at_once, in_steps = model.marginalize("a", "b"), model.marginalize("a").marginalize("b")
    reused = (model.marginalize("a") * gm.joint(a=dist.Normal(0.0, 1.0))).marginalize("b", "a")
    for hidden in (at_once, in_steps, reused):
        np.testing.assert_allclose(gm.compile(hidden).log_density({"x": 0.7}), stats.norm.logpdf(0.7, 0, np.sqrt(6.0)))


def test_a_variable_of_a_mixture_is_hidden_in_each_part(x64):
    def part(m):
        return gm.joint(x=dist.Normal(m, 1.0), y=lambda x: dist.StudentT(3.0, x**2, 1.0))

    model = gm.mixture([0.3, 0.7], part(-1.0), part(2.0)).marginalize("y")
    truth = np.log(0.3 * stats.norm.pdf(0.5, -1.0) + 0.7 * stats.norm.pdf(0.5, 2.0))
    np.testing.assert_allclose(gm.compile(model).log_density({"x": 0.5}), truth, rtol=1e-12)
    np.testing.assert_allclose(model.responsibilities(0.5).sum(), 1.0, rtol=1e-12)


def test_constants_and_inputs_stay_outside(x64):
    model = gm.joint(
        n=2,
        u=gm.input(gm.Real()),
        z=dist.Normal(0.0, 1.0),
        x=lambda z, u, n: dist.Normal(n * z + u if isinstance(n, int) else z, 1.0),
    ).marginalize("z")
    assert [name for name, _ in model.inputs] == ["u"]
    density = gm.compile(model.condition(u=1.0))
    np.testing.assert_allclose(density.log_density({"x": 2.0}), stats.norm.logpdf(2.0, 1.0, np.sqrt(5.0)), rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        (school(), "thet", r"there is no 'thet'; the variables are mu, tau, theta, y. Did you mean 'theta'\?"),
        (school(), "best", "best is computed from mu, tau, theta(.|\n)*what is computed from it goes with it"),
        (school().condition(y=jnp.zeros(3)), "y", "y is observed, a number here"),
        (school(), "sigma", "sigma has no distribution in this model"),
        (gm.joint(x=dist.Normal(0.0, 1.0)), "x", "no variable would be left"),
        (school(), "mu", r"linear-Gaussian.*: .*gm.sample(.|\n)*gm.log_marginal(.|\n)*gm.AIS(.|\n)*gm.ELBO"),
    ],
)
def test_what_cannot_be_marginalised_is_refused(model, name, message):
    with pytest.raises(gm.SpecError, match=message):
        (model * gm.energy(lambda mu: mu**4, mu=gm.Real()) if name == "mu" else model).marginalize(name)


def test_a_support_that_moves_cannot_stay_below_a_hidden_variable():
    model = gm.joint(k=dist.Bernoulli(0.5), x=lambda k: dist.Uniform(0.0, 1.0 + k))
    with pytest.raises(gm.SpecError, match="the bounds of x depend on other variables"):
        model.marginalize("k")


def test_a_variable_that_was_hidden_is_another_than_one_of_its_name(x64):
    """p(x) = int N(z; 0, 1) N(x; z, 1) dz times q(z) q(y | z): two variables were called z, one is left."""
    hidden = gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z, 1.0)).marginalize("z")
    own = gm.joint(z=dist.Normal(3.0, 2.0), y=lambda z: dist.Normal(z, 1.0))
    parts = stats.norm.logpdf(0.3, 0.0, np.sqrt(2.0)), stats.norm.logpdf(1.0, 3.0, 2.0) + stats.norm.logpdf(2.0, 1.0)
    for product in (hidden * own, own * hidden):
        assert sorted(product.free) == ["x", "y", "z"]
        value = gm.compile(product).log_density({"x": 0.3, "z": 1.0, "y": 2.0})
        np.testing.assert_allclose(value, sum(parts), rtol=1e-12)
        shared = stats.norm.logpdf(1.0) + stats.norm.logpdf(0.3, 1.0) + parts[1]  # were they one
        assert abs(float(value) - shared) > 0.1
        both = gm.compile(product.marginalize("z")).log_density({"x": 0.3, "y": 2.0})
        np.testing.assert_allclose(both, parts[0] + stats.norm.logpdf(2.0, 3.0, np.sqrt(5.0)), rtol=1e-12)
    again = gm.compile(hidden * hidden.rename(x="w") * gm.energy(lambda x, w: x * w, x=gm.Real(), w=gm.Real()))
    np.testing.assert_allclose(
        again.log_density({"x": 0.3, "w": -1.0}),
        parts[0] + stats.norm.logpdf(-1.0, 0.0, np.sqrt(2.0)) + 0.3,
        rtol=1e-12,
    )


def test_what_is_dropped_is_childless_and_what_is_observed_below_is_not(x64):
    """An unobserved leaf integrates to one; an observed one, or one that an energy reads, does not."""
    pair = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(a, 2.0))
    np.testing.assert_allclose(gm.compile(pair.marginalize("b")).log_density({"a": 0.7}), stats.norm.logpdf(0.7))
    read = pair * gm.energy(lambda b: 0.5 * b**2, b=gm.Real())
    # int N(b; a, 4) exp(-b^2 / 2) db = sqrt(2 pi) N(a; 0, 5)
    exact = stats.norm.logpdf(0.7) + 0.5 * np.log(2 * np.pi) + stats.norm.logpdf(0.7, 0.0, np.sqrt(5.0))
    joint = gm.joint(b=gm.input(gm.Real()), c=lambda b: dist.Normal(b, 1.0)).condition(c=0.0)
    seen = gm.compile((pair * joint).marginalize("b")).log_density({"a": 0.7})
    np.testing.assert_allclose(seen, exact - 0.5 * np.log(2 * np.pi), rtol=1e-12)
    left = gm.log_normalizer(read.condition(a=0.7))
    np.testing.assert_allclose(left.log_z, exact, rtol=1e-9)
