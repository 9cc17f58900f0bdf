import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
from gmdsl.run import fit as fitting

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


def test_one_step_is_the_optimisers_step_on_the_exact_gradient(x64, normal):
    fit = gm.fit(normal, {"x": X}, gm.MaximumLikelihood(), optimizer=optax.sgd(0.1), steps=1, progress=False)
    np.testing.assert_allclose(fit.model.params["mu"].value, 0.1 * X.mean(), rtol=1e-12)
    np.testing.assert_allclose(fit.model.params["sigma"].free, 0.1 * (np.mean(X**2) - 1.0), rtol=1e-12)


def test_a_fit_does_not_depend_on_how_it_is_cut_into_blocks(normal, monkeypatch):
    def run():
        return gm.fit(normal, {"x": X}, gm.MaximumLikelihood(), steps=130, batch_size=2, progress=False)

    whole = run()
    monkeypatch.setattr(fitting, "BLOCK", 33)
    fitting.train_block.clear_cache()
    cut = run()
    fitting.train_block.clear_cache()
    np.testing.assert_allclose(whole.history["loss"], cut.history["loss"], rtol=1e-6)


def test_the_moving_average_is_of_the_parameters(x64, normal):
    plain = [
        float(gm.fit(normal, {"x": X}, gm.MaximumLikelihood(), optimizer=optax.sgd(0.1), steps=n, progress=False)
              .model.params["mu"].value)
        for n in (1, 2, 3)
    ]  # fmt: skip
    averaged = gm.fit(
        normal, {"x": X}, gm.MaximumLikelihood(), optimizer=optax.sgd(0.1), steps=3, average=0.9, progress=False
    )
    exact = 0.0
    for value in plain:
        exact = 0.9 * exact + 0.1 * value
    np.testing.assert_allclose(averaged.model.params["mu"].value, exact, rtol=1e-12)


def test_the_loss_of_held_out_data_is_recorded_between_blocks(normal):
    fit = gm.fit(normal, {"x": X}, gm.MaximumLikelihood(), steps=250, held_out={"x": X + 1}, progress=False)
    assert fit.history["held_out_step"].tolist() == [100, 200, 250]
    mu, sigma = (float(fit.model.params[n].value) for n in ("mu", "sigma"))
    exact = -np.mean(dist.Normal(mu, sigma).log_prob(X + 1))
    np.testing.assert_allclose(fit.history["held_out"][-1], exact, rtol=1e-5)


def test_a_diverging_fit_stops_with_the_step_and_keeps_the_last_good_model():
    model = gm.joint(mu=gm.param(1.0), x=lambda mu: dist.Normal(mu, 1.0))
    with pytest.raises(gm.FitError, match=r"not finite at step \d+") as caught:
        gm.fit(model, {"x": X}, gm.MaximumLikelihood(), optimizer=optax.sgd(2.2), steps=5000, progress=False)
    good = caught.value.fit
    assert good.steps > 0
    assert np.isfinite(good.history["loss"]).all()
    assert np.isfinite(good.model.params["mu"].value)


def test_ctrl_c_keeps_what_was_learned(normal, monkeypatch):
    original, count = fitting.train_block, [0]

    def stop(*args):
        count[0] += 1
        if count[0] > 2:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(fitting, "train_block", stop)
    fit = gm.fit(normal, {"x": X}, gm.MaximumLikelihood(), steps=1000, progress=False)
    assert fit.interrupted
    assert fit.steps == 200


def test_the_same_fit_again_compiles_nothing(normal, compilations):
    gm.fit(normal, {"x": X}, gm.MaximumLikelihood(), optimizer=optax.adam(0.01), steps=10, progress=False)
    del compilations[:]
    again = gm.joint(mu=gm.param(0.3), sigma=gm.param(2.0, gm.Positive()), x=lambda mu, sigma: dist.Normal(mu, sigma))
    gm.fit(again, {"x": X + 1}, gm.MaximumLikelihood(), optimizer=optax.adam(0.01), steps=10, progress=False)
    assert len(compilations) <= 3  # first touches of new shapes on the host, no training program
    assert max(compilations, default=0.0) < 0.2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"y": X}, "y is not a free variable; those are x"),
        ({"x": X[:, None]}, r"x has shape \(4, 1\), but one datum was declared \(\)"),
        ({"x": [1.0, np.nan]}, "NaN"),
        ({}, "a dict of arrays by name"),
    ],
)
def test_data_that_do_not_fit_are_named(normal, data, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.fit(normal, data, gm.MaximumLikelihood(), progress=False)
