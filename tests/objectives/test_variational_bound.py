import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm


def mixture():
    parts = dist.Normal(jnp.array([-1.2, 0.9]), jnp.array([0.4, 0.55]))
    return gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.35, 0.65])), parts))


@pytest.mark.parametrize("process", [gm.VP(), gm.Rectified()], ids=lambda p: type(p).__name__)
def test_the_loss_estimates_minus_the_bound_term_by_term(process):
    """With the exact denoiser, against `gm.variational_bound` of the same data: |z| < 4.5 for the sum and each part."""
    exact = gm.noise(mixture(), process)
    x = mixture().sample(jax.random.key(1), 1000)["x"]
    family = gm.score_model(process, exact.denoise, prediction=gm.PredictClean(), x=gm.Real())
    objective = gm.VariationalBound(steps=50)

    def one(key):
        total, (_, parts) = objective.loss(key, family, {"x": x}, ())
        return {"total": total, **parts}

    found = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 200))
    truth = gm.variational_bound(exact, x, steps=50, draws=64)
    wanted = {
        "total": -truth.log_likelihood.mean(),
        "prior": truth.prior.mean(),
        "steps": truth.steps.sum(-1).mean(),
        "data": truth.data.mean(),
        "bits_per_dim": truth.bits_per_dim.mean(),
    }
    for name, values in found.items():
        values = np.asarray(values, float)
        error = np.hypot(values.std() / np.sqrt(200), np.sqrt(np.sum(truth.standard_error**2)) / 1000)
        assert abs(values.mean() - wanted[name]) < 4.5 * error + 1e-5, name
        assert error < 0.03, name


def test_a_family_is_learned_and_its_record_has_the_terms():
    """After some seconds the bound of held-out data is within 0.15 nats of the exact family's, and below it."""
    data = np.asarray(mixture().sample(jax.random.key(0), 20_000)["x"])
    fresh = np.asarray(mixture().sample(jax.random.key(9), 2000)["x"])
    network = gm.nets.TimeMLP((), width=64, depth=3, key=jax.random.key(1))
    family = gm.score_model(gm.VP(), network, prediction=gm.PredictVelocity(), x=gm.Real())
    rate = optax.adam(optax.cosine_decay_schedule(3e-3, 2000))
    fit = gm.fit(
        family, {"x": data}, gm.VariationalBound(steps=200), optimizer=rate, steps=2000, batch_size=256, average=0.99,
        progress=False,
    )  # fmt: skip
    parts = sum(fit.history[name] for name in ("prior", "steps", "data"))
    np.testing.assert_allclose(parts, fit.history["loss"], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(fit.history["bits_per_dim"] * np.log(2.0), fit.history["loss"], rtol=1e-4, atol=1e-3)
    assert "lower bound" in fit.remark
    learned, exact = (
        gm.variational_bound(f, fresh, steps=200, draws=4) for f in (fit.model, gm.noise(mixture(), gm.VP()))
    )
    error = np.sqrt(np.sum(learned.standard_error**2 + exact.standard_error**2)) / 2000
    gap = np.mean(exact.log_likelihood - learned.log_likelihood)
    assert -4.5 * error < gap < 0.15
    for part in ("prior", "data"):
        assert abs(np.mean(getattr(learned, part)) - np.mean(getattr(exact, part))) < 0.1


def test_inputs_are_learned():
    labels = np.random.default_rng(0).choice([-1.0, 1.0], size=1000).astype(np.float32)
    data = (labels + 0.3 * np.random.default_rng(1).normal(size=1000)).astype(np.float32)[:, None]
    network = gm.nets.TimeMLP(1, width=32, condition=gm.Real(), key=jax.random.key(0))
    family = gm.score_model(gm.VP(), network, x=gm.Real(1), c=gm.input(gm.Real()))
    fit = gm.fit(
        family, {"x": data, "c": labels}, gm.VariationalBound(steps=50), optimizer=optax.adam(3e-3), steps=400,
        batch_size=256, progress=False,
    )  # fmt: skip
    x = fit.model.process.noisy(jnp.array([1.0]), jnp.array([0.0]), 0.3)
    right, wrong = (float(fit.model.condition(c=c).denoise(x, 0.3)[0]) for c in (1.0, -1.0))
    assert abs(right - 1.0) < 0.2
    assert wrong < right - 0.5


def test_what_has_no_bound_to_learn_is_refused():
    with pytest.raises(gm.SpecError, match=r"fit\(..., VariationalBound\(\)\): a model has no score to learn"):
        gm.fit(gm.joint(m=gm.param(0.0), x=lambda m: dist.Normal(m, 1.0)), {"x": np.zeros(5)}, gm.VariationalBound())
    with pytest.raises(gm.SpecError, match=r"VariationalBound\(steps=1\): a whole number of at least 2"):
        gm.VariationalBound(steps=1)
