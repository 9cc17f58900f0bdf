import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
from gmdsl.run import training as fitting

X = np.array([0.5, 1.5, 2.5, 3.5])


@pytest.fixture
def normal():
    return gm.joint(mu=gm.param(0.0), sigma=gm.param(1.0, gm.Positive()), x=lambda mu, sigma: dist.Normal(mu, sigma))


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


def test_the_objective_is_traced_once(normal, monkeypatch):
    traced, loss = [], gm.MaximumLikelihood.loss
    monkeypatch.setattr(gm.MaximumLikelihood, "loss", lambda *args: (traced.append(1), loss(*args))[1])
    gm.fit(normal, {"x": X[:3]}, gm.MaximumLikelihood(), optimizer=optax.adam(0.02), steps=2, progress=False)
    assert len(traced) == 1


def test_a_batch_knows_which_data_it_holds():
    class Which(gm.Objective):
        """Counts how often each datum was in a batch."""

        def init(self, key, model, data):
            return jnp.zeros(4)

        def loss(self, key, model, batch, state):
            seen = jnp.arange(4) if batch.index is None else batch.index
            off = jnp.abs(batch["x"] - jnp.asarray(X, jnp.float32)[seen]).sum()
            return 0.0 * model.params["mu"].value, (
                state.at[seen].add(1.0),
                {"counts": state.at[seen].add(1.0), "off": off},
            )

    model = gm.joint(mu=gm.param(0.0), x=lambda mu: dist.Normal(mu, 1.0))
    fit = gm.fit(model, {"x": X}, Which(), steps=150, batch_size=2, progress=False)
    counts = fit.history["counts"][-1]
    assert counts.sum() == 300
    assert (np.abs(counts - 75) < 4.5 * np.sqrt(300 * 0.25 * 0.75)).all()
    assert (fit.history["off"] == 0.0).all()
    whole = gm.fit(model, {"x": X}, Which(), steps=5, progress=False)
    assert (whole.history["counts"][-1] == 5).all()


class Blur(eqx.Module):
    """A network of convolutions: strided, transposed and plain ones."""

    down: eqx.nn.Conv2d
    up: eqx.nn.ConvTranspose2d
    last: eqx.nn.Conv2d

    def __init__(self):
        keys = jax.random.split(jax.random.key(0), 3)
        self.down = eqx.nn.Conv2d(1, 4, 3, stride=2, padding=1, key=keys[0])
        self.up = eqx.nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1, key=keys[1])
        self.last = eqx.nn.Conv2d(4, 1, 3, padding=1, key=keys[2])

    def __call__(self, x, level):
        return self.last(jnp.tanh(self.up(jnp.tanh(self.down(x.reshape(1, 8, 8)) + level)))).reshape(-1)


def of_images():
    data = {"x": np.random.default_rng(0).normal(size=(40, 64)).astype("float32")}
    return gm.score_model(gm.VP(), Blur(), x=gm.Real(64)), data, gm.DenoisingScoreMatching()


def test_a_fit_of_convolutions_is_the_same_in_either_order_of_their_axes(monkeypatch):
    def losses():
        fitting.train_block.clear_cache()
        return gm.fit(*of_images(), steps=20, batch_size=16, progress=False).history["loss"]

    ours = losses()
    monkeypatch.setattr(fitting, "with_fast_convolutions", lambda function: function)
    as_written = losses()
    fitting.train_block.clear_cache()
    np.testing.assert_allclose(ours, as_written, rtol=1e-4)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the order is that of XLA's CPU code")
def test_every_convolution_of_the_steps_has_the_order_that_is_fast_inside_a_loop():
    model, data, objective = of_images()
    trainer, moving, still = fitting.make_trainer(model, objective, None, 16, None)
    data, key = {"x": jnp.asarray(data["x"])}, jax.random.key(0)
    carry = fitting.start(trainer, still, data, key, moving)
    program = fitting.train_block.lower(trainer, still, data, key, carry, jnp.int32(0), jnp.int32(1)).as_text()
    orders = re.findall(r"dim_numbers = (\S+, .*?->\[.*?\])", program)
    assert len(orders) == 8  # the convolutions, their slopes in the kernel, and in the image but for the first
    assert set(orders) == {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"}
