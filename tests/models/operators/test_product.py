import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def test_a_likelihood_with_an_input_times_a_prior_is_a_joint(x64):
    likelihood = gm.joint(mu=gm.input(gm.Real()), y=lambda mu: dist.Normal(mu, 1.0).expand([2]))
    prior = gm.joint(mu=dist.Normal(3.0, 2.0))
    for model in (prior * likelihood, likelihood * prior):
        assert model.inputs == ()
        assert model.capabilities().drawable
        posterior = gm.compile(model.condition(y=[1.0, 2.0]))
        exact = stats.norm(3.0, 2.0).logpdf(0.5) + stats.norm(0.5, 1.0).logpdf([1.0, 2.0]).sum()
        np.testing.assert_allclose(posterior.log_density({"mu": 0.5}), exact, rtol=1e-12)


def test_two_densities_of_one_variable_make_an_undirected_product(x64):
    product = gm.joint(x=dist.Normal(0.0, 1.0)) * gm.joint(x=dist.Normal(2.0, 1.0))
    offer = product.capabilities()
    assert not offer.normalized
    assert not offer.drawable
    assert "x is the child of 2 factors" in offer.reasons["drawable"]
    exact = stats.norm(0, 1).logpdf(0.7) + stats.norm(2, 1).logpdf(0.7)
    np.testing.assert_allclose(gm.compile(product).log_density({"x": 0.7}), exact, rtol=1e-12)


def test_a_cycle_between_two_conditionals_is_an_undirected_product(x64):
    left = gm.joint(x=gm.input(gm.Real()), y=lambda x: dist.Normal(x, 1.0))
    right = gm.joint(y=gm.input(gm.Real()), x=lambda y: dist.Normal(0.5 * y, 2.0))
    product = left * right
    assert not product.capabilities().normalized
    density = gm.compile(product)
    exact = stats.norm(1.0, 1.0).logpdf(3.0) + stats.norm(1.5, 2.0).logpdf(1.0)
    np.testing.assert_allclose(density.log_density({"x": 1.0, "y": 3.0}), exact, rtol=1e-12)
    np.testing.assert_allclose(density.target.log_density(density.unconstrain({"x": 1.0, "y": 3.0})), exact, rtol=1e-12)


def test_the_smaller_of_two_nested_supports_wins_and_its_jacobian_enters_once(x64):
    product = gm.joint(x=dist.Normal(0.0, 1.0)) * gm.energy(lambda x: x, x=gm.Positive())
    assert product.spaces["x"] == gm.Positive()
    assert not product.capabilities().normalized
    u, density = 0.4, gm.compile(product)
    x = np.exp(u)
    np.testing.assert_allclose(density.constrain(np.array([u]))["x"], x)
    np.testing.assert_allclose(density.target.log_density(np.array([u])), stats.norm.logpdf(x) - x + u, rtol=1e-12)


def test_an_energy_on_the_wider_space_leaves_the_distribution_alone():
    product = gm.joint(x=dist.HalfNormal(1.0)) * gm.energy(lambda x: x, x=gm.Real())
    assert product.narrowed == ()
    assert product.spaces["x"] == gm.Positive()


def test_supports_that_are_not_nested_are_refused():
    with pytest.raises(gm.SpecError, match=r"x lives in Positive\(\) on the left and in Interval"):
        gm.joint(x=dist.HalfNormal(1.0)) * gm.energy(lambda x: x, x=gm.Interval(-1.0, 1.0))


def test_shared_data_must_be_equal():
    def model(values):
        return gm.joint(s=gm.data(values), x=lambda s: dist.Normal(0.0, s.sum()))

    same = model([1.0, 2.0]) * gm.joint(s=gm.data([1.0, 2.0]), y=lambda s: dist.Normal(s[0], 1.0))
    assert same.free == ("x", "y")
    with pytest.raises(gm.SpecError, match=r"the data 's' differs.*rename"):
        model([1.0, 2.0]) * gm.joint(s=gm.data([1.0, 3.0]), y=lambda s: dist.Normal(s[0], 1.0))


def test_what_is_observed_on_one_side_is_observed_in_the_whole():
    left = gm.joint(x=dist.Normal(0.0, 1.0)).condition(x=1.0)
    product = left * gm.energy(lambda x, z: x * z**2, x=gm.Real(), z=gm.Real())
    assert product.free == ("z",)
    with pytest.raises(gm.SpecError, match="the observed value 'x' differs"):
        left * gm.joint(x=dist.Normal(0.0, 1.0)).condition(x=2.0)


def test_a_name_has_one_role():
    with pytest.raises(gm.SpecError, match="constant on one side and a variable on the other"):
        gm.joint(s=gm.data(1.0), x=lambda s: dist.Normal(s, 1.0)) * gm.joint(s=dist.Normal(0.0, 1.0))
    with pytest.raises(gm.SpecError, match="computed on one side and random on the other"):
        gm.joint(a=dist.Normal(0, 1), t=lambda a: 2 * a) * gm.joint(t=dist.Normal(0, 1))


def test_a_computed_variable_may_be_shared_when_it_is_the_same():
    def part(name):
        return gm.joint({"a": dist.Normal(0, 1), "t": lambda a: 2 * a, name: lambda t: dist.Normal(t, 1)})

    product = part("u") * part("v").rename(a="a")
    assert product.deterministic == ("t",)
    with pytest.raises(gm.SpecError, match="computed in two ways"):
        part("u") * gm.joint(a=dist.Normal(0, 1), t=lambda a: 3 * a)


def test_inputs_are_checked_against_what_binds_them():
    likelihood = gm.joint(mu=gm.input(gm.Real(2)), y=lambda mu: dist.Normal(mu, 1.0))
    with pytest.raises(gm.SpecError, match=r"the input mu was declared Real\(2\)"):
        likelihood * gm.joint(mu=dist.Normal(0.0, 1.0))


def test_products_are_sums_of_log_densities_for_experts():
    ring = gm.energy(lambda x: (x @ x - 1.0) ** 2, x=gm.Real(2))
    tilt = gm.energy(lambda x: x[0], x=gm.Real(2))
    value = float(gm.compile(ring * tilt).energy({"x": [2.0, 0.0]}))
    assert value == 11.0
    assert len(set((ring * ring).graph)) == 3  # one variable, two factors of the same name kept apart
    assert jax.tree.structure(ring * tilt) == jax.tree.structure(ring * tilt)


def test_an_input_keeps_its_space():
    scale = gm.joint(a=gm.input(gm.Positive()), b=lambda a: dist.Normal(0.0, a))
    assert (gm.joint(a=dist.HalfNormal(1.0)) * scale).capabilities().drawable
    with pytest.raises(gm.SpecError, match=r"declared Positive\(\), but the other side gives it Real\(\)"):
        gm.joint(a=dist.Normal(0.0, 1.0)) * scale
    with pytest.raises(gm.SpecError, match="that does not lie there"):
        gm.joint(a=gm.data(-1.0), c=lambda a: dist.Normal(a, 1.0)) * scale


@pytest.mark.parametrize(
    ("distribution", "space"),
    [
        (dist.VonMises(0.0, 1.0), gm.Circle()),
        (dist.LKJCholesky(3, 1.0), gm.CorrCholesky(3)),
        (dist.Poisson(1.0), gm.Integer()),
    ],
)
def test_distributions_fit_the_spaces_of_their_kind(distribution, space):
    product = gm.joint(a=distribution) * gm.energy(lambda a: 1.0 * a.sum(), a=space)
    assert product.narrowed == ()


def test_an_energy_may_weigh_a_computed_variable(x64):
    product = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: a**2) * gm.energy(lambda b: 3.0 * b, b=gm.Real())
    assert product.free == ("a",)
    value = gm.compile(product).log_density({"a": 0.5})
    np.testing.assert_allclose(value, stats.norm.logpdf(0.5) - 3.0 * 0.25, rtol=1e-12)


def test_a_name_is_not_computed_on_one_side_and_observed_on_the_other():
    left = gm.joint(a=dist.Normal(0, 1), z=lambda a: 2 * a)
    right = gm.energy(lambda z: z**2, z=gm.Real()).condition(z=3.0)
    for pair in ((left, right), (right, left)):
        with pytest.raises(gm.SpecError, match="z is computed on one side, observed on the other"):
            pair[0] * pair[1]


def test_constants_of_different_kinds_do_not_meet_under_one_name():
    left = gm.joint(k=2.0, x=lambda k: dist.Normal(k, 1))
    for other in (gm.data(5.0), gm.param(5.0)):
        with pytest.raises(gm.SpecError, match="k is a constant on one side and a (data|parameter) on the other"):
            left * gm.joint(k=other, y=lambda k: dist.Normal(k, 1))


def test_inputs_of_one_name_must_agree_and_parameters_that_bind_them_are_checked():
    def model(space, child):
        return gm.joint({"u": gm.input(space), child: lambda u: dist.Normal(u.sum(), 1.0)})

    with pytest.raises(gm.SpecError, match=r"input u was declared Real\(2\) on the left and Real\(3\) on the right"):
        model(gm.Real(2), "x") * model(gm.Real(3), "y")
    assert dict((model(gm.Positive(), "x") * model(gm.Real(), "y")).inputs)["u"] == gm.Positive()
    with pytest.raises(gm.SpecError, match=r"declared Positive\(\), but the other side gives it Real\(\)"):
        model(gm.Positive(), "x") * gm.joint(u=gm.param(-3.0), z=lambda u: dist.Normal(u, 1.0))


def test_a_computed_variable_binds_an_input_and_cannot_be_restricted():
    rate = gm.joint(a=dist.Normal(0, 1), r=lambda a: a**2)
    assert (rate * gm.joint(r=gm.input(gm.Positive()), n=lambda r: dist.Poisson(r))).inputs == ()
    with pytest.raises(gm.SpecError, match="r is computed, so no space can restrict it"):
        rate * gm.energy(lambda r: r, r=gm.Positive())


def test_two_cycles_are_undirected_products_too(x64):
    def loop(one, two):
        left = gm.joint({one: gm.input(gm.Real()), two: eval(f"lambda {one}: D({one}, 1.0)", {"D": dist.Normal})})
        right = gm.joint(
            {two: gm.input(gm.Real()), one: eval(f"lambda {two}: D(0.5 * {two}, 2.0)", {"D": dist.Normal})}
        )
        return left * right

    value = gm.compile(loop("a", "b") * loop("c", "d")).log_density({"a": 1.0, "b": 3.0, "c": 1.0, "d": 3.0})
    one = stats.norm(1.0, 1.0).logpdf(3.0) + stats.norm(1.5, 2.0).logpdf(1.0)
    np.testing.assert_allclose(value, 2 * one, rtol=1e-12)


def test_an_observed_value_enters_both_factors_whichever_side_observes_it(x64):
    left = gm.joint(x=dist.Normal(0.0, 1.0), y=lambda x: dist.Normal(x, 1.0))
    right = gm.joint(y=dist.Normal(3.0, 0.5))
    by_hand = stats.norm.logpdf(0.4) + stats.norm.logpdf(2.0, 0.4, 1.0) + stats.norm.logpdf(2.0, 3.0, 0.5)
    for product in (left.condition(y=2.0) * right, right * left.condition(y=2.0), left * right.condition(y=2.0)):
        assert product.free == ("x",)  # the naive reading leaves the y of the other side free
        np.testing.assert_allclose(gm.compile(product).log_density({"x": 0.4}), by_hand, rtol=1e-12)
    twice = gm.compile(left.condition(y=2.0) * left.condition(y=2.0)).log_density({"x": 0.4})
    once = stats.norm.logpdf(0.4) + stats.norm.logpdf(2.0, 0.4, 1.0)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-12)  # one datum, but two factors


def test_a_shared_variable_is_one_variable_and_not_two(x64):
    """The integral of N(x; 0, 1) N(x; 2, 1) is N(2; 0, 2); of two variables it would be 1."""
    product = gm.joint(x=dist.Normal(0.0, 1.0)) * gm.joint(x=dist.Normal(2.0, 1.0))
    np.testing.assert_allclose(gm.log_normalizer(product).log_z, stats.norm.logpdf(2.0, 0.0, np.sqrt(2.0)), rtol=1e-10)
    narrowed = gm.joint(x=dist.Normal(0.0, 1.0)) * gm.energy(lambda x: x, x=gm.Positive())
    np.testing.assert_allclose(gm.log_normalizer(narrowed).log_z, 0.5 + stats.norm.logcdf(-1.0), rtol=1e-9)
    assert abs(gm.log_normalizer(narrowed).log_z - 0.5) > 1.0  # without the narrower support


def test_parameters_of_one_name_are_one_parameter_or_an_error():
    def part(child, start):
        return gm.joint({"m": gm.param(start), child: lambda m: dist.Normal(m, 1.0)})

    assert list((part("x", 1.0) * part("y", 1.0)).params) == ["m"]
    with pytest.raises(gm.SpecError, match=r"the parameter 'm' differs between the two sides.*\.rename\(m=\.\.\.\)"):
        part("x", 1.0) * part("y", 2.0)
    assert sorted((part("x", 1.0) * part("y", 2.0).rename(m="n")).params) == ["m", "n"]
