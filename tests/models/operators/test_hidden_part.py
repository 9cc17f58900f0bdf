import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.models.operators.hidden_part import inner_model, pruned, touching


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


def test_a_support_that_moves_and_is_no_interval_cannot_stay_below_a_hidden_variable():
    model = gm.joint(
        k=dist.Bernoulli(0.5),
        x=lambda k: dist.Multinomial(k + 1, jnp.ones(2) / 2, total_count_max=2),
        y=lambda k: dist.Uniform(0.0, 1.0 + k),
    )
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


def test_the_inside_is_what_touches_the_hidden_with_all_else_as_inputs():
    """z is computed into c, which x reads; w lies between x and v, so it comes along; u stays outside."""
    model = gm.joint(
        s=gm.data(2.0),
        u=dist.Normal(0.0, 1.0),
        z=lambda u: dist.Normal(u, 1.0),
        c=lambda z, s: s * z,
        x=lambda c: dist.Normal(c, 1.0),
        w=lambda x: dist.Normal(x, 1.0),
        v=lambda z, w: dist.Normal(z + w, 1.0),
        y=lambda v: dist.Normal(v, 1.0),
    )
    inner = inner_model(model, ("z",))
    assert [f.name for f in inner.factors] == ["p(z | u)", "c = f(z, s)", "p(x | c)", "p(w | x)", "p(v | z, w)"]
    assert [name for name, _ in inner.inputs] == ["s", "u"]
    assert (inner.data, inner.free) == ({}, ("z", "x", "w", "v"))
    assert [f.name for f in touching(model, ["u"])] == ["p(u)", "p(z | u)"]


def test_what_is_computed_from_a_variable_goes_with_it_and_labels_that_nothing_bears():
    model = gm.joint(
        a=dist.Normal(0.0, 1.0).expand([2]),
        b=lambda a: 2.0 * a,
        c=lambda b: b.sum(),
        d=dist.Normal(0.0, 1.0).expand([2]),
        dims={"a": ["left"], "d": ["right"]},
        coords={"left": [0, 1], "right": [2, 3]},
    )
    rest = pruned(model, {"a"})
    assert [name for name, _ in rest.declared] == ["d"]
    assert [f.name for f in rest.factors if f.children[0] in ("b", "c")] == []
    assert (dict(rest.dims), list(dict(rest.coords))) == ({"d": ("right",)}, ["right"])
