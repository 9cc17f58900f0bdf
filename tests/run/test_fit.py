import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm

X = np.array([0.5, 1.5, 2.5, 3.5])


@pytest.fixture
def normal():
    return gm.joint(mu=gm.param(0.0), sigma=gm.param(1.0, gm.Positive()), x=lambda mu, sigma: dist.Normal(mu, sigma))


def test_declared_parameters_are_learned_by_name(normal):
    fit = gm.fit(normal, {"x": X}, gm.MaximumLikelihood(), optimizer=optax.adam(0.05), steps=800, progress=False)
    np.testing.assert_allclose(fit.model.params["mu"].value, 2.0, rtol=1e-4)
    np.testing.assert_allclose(fit.model.params["sigma"].value, X.std(), rtol=1e-4)
    assert fit.steps == len(fit.history["loss"]) == 800
    assert float(normal.params["mu"].value) == 0.0


def test_modules_are_learned_and_frozen_ones_data_and_constants_are_not():
    class Line(eqx.Module):
        slope: jax.Array

        def __call__(self, t):
            return self.slope * t

    def model(module):
        return gm.joint(t=gm.data(2.0), m=gm.given("t", module), x=lambda m, s: dist.Normal(m, s), s=gm.data(1.0))

    fit = gm.fit(
        model(Line(jnp.array(0.1))), {"x": X}, gm.MaximumLikelihood(), optimizer=optax.sgd(0.1), progress=False
    )
    np.testing.assert_allclose(fit.model.factors[0].call.function.slope, 1.0, rtol=1e-4)
    assert float(fit.model.data["t"]) == 2.0
    with pytest.raises(gm.SpecError, match="nothing to learn"):
        gm.fit(model(gm.freeze(Line(jnp.array(0.1)))), {"x": X}, gm.MaximumLikelihood(), progress=False)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"y": X}, "y is no free variable and no input; those are x"),
        ({"x": X[:, None]}, r"x has shape \(4, 1\), but one datum was declared \(\)"),
        ({"x": [1.0, np.nan]}, "NaN"),
        ({}, "a dict of arrays by name"),
    ],
)
def test_data_that_do_not_fit_are_named(normal, data, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.fit(normal, data, gm.MaximumLikelihood(), progress=False)


def test_what_was_learned_is_the_model_where_nothing_else_was(normal):
    fit = gm.fit(normal, {"x": X}, gm.MaximumLikelihood(), steps=3, progress=False)
    assert fit.learned is fit.model
    assert fit.remark == ""


def test_a_guide_is_learned_beside_the_model_and_kept_apart_from_it():
    model = gm.joint(m=gm.param(0.0), z=dist.Normal(0.0, 1.0), x=lambda z, m: dist.Normal(z + m, 1.0))
    guide = gm.joint(x=gm.input(gm.Real()), a=gm.param(0.0), z=lambda x, a: dist.Normal(a + 0.5 * x, 0.5**0.5))
    fit = gm.fit(
        model,
        {"x": X},
        gm.ELBO(guide, particles=8),
        optimizer=optax.adam(0.05),
        steps=600,
        average=0.98,
        progress=False,
    )
    assert list(fit.model.params) == ["m"]
    assert list(fit.learned.guide.params) == ["a"]
    assert abs(float(fit.model.params["m"].value) - 2.0) < 0.1
    assert abs(float(fit.learned.guide.params["a"].value) + 1.0) < 0.1  # E[z | x] = (x - m) / 2


def test_a_short_chain_fit_says_that_it_is_not_the_maximum_likelihood_estimate():
    energy = gm.energy(lambda x, w: w * x**2, x=gm.Real(), w=gm.param(1.0))
    fit = gm.fit(energy, {"x": X}, gm.ContrastiveDivergence(gm.Langevin(0.1), steps=2), steps=3, progress=False)
    assert "the fixed point is not the maximum-likelihood estimate" in fit.remark
    assert "the sampler is biased" in fit.remark


def test_a_fitted_model_keeps_its_dims_coords_data_and_observations():
    model = gm.joint(
        s=gm.data(2.0), m=gm.param(np.zeros(2)), x=lambda m, s: dist.Normal(m, s), dims={"x": ["side"]},
        coords={"side": ["left", "right"]},
    )  # fmt: skip
    fit = gm.fit(model, {"x": np.ones((5, 2))}, gm.MaximumLikelihood(), steps=3, progress=False)
    assert (fit.model.dims, fit.model.coords) == (model.dims, model.coords)
    assert float(fit.model.data["s"]) == 2.0
    assert list(gm.sample_prior(fit.model, draws=3)["prior"]["x"].coords["side"].values) == ["left", "right"]


def test_the_same_seed_gives_the_same_fit_and_another_another(normal):
    guide = gm.joint(x=gm.input(gm.Real()), z=lambda x: dist.Normal(0.5 * x, 1.0))
    model = gm.joint(m=gm.param(0.0), z=dist.Normal(0.0, 1.0), x=lambda z, m: dist.Normal(z + m, 1.0))
    first, again, other = (
        gm.fit(model, {"x": X}, gm.ELBO(guide), steps=50, batch_size=2, seed=s, progress=False).history["loss"]
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
