"""When training ends by itself, and what it then leaves."""

import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm


@pytest.fixture
def overfit():
    """Forty weights for thirty data, with noise: the held-out loss falls, and then rises."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=40) / 6.0

    def rows(n):
        a = rng.normal(size=(n, 40))
        return {"a": a, "y": a @ weights + rng.normal(size=n)}

    model = gm.joint(w=gm.param(np.zeros(40)), a=gm.input(gm.Real(40)), y=lambda w, a: dist.Normal(a @ w, 1.0))
    return model, rows(30), rows(1000)


def learned(overfit, **settings):
    model, data, others = overfit
    call = {"optimizer": optax.adam(3e-3), "steps": 6000, "held_out": others, "progress": False}
    return gm.fit(model, data, gm.MaximumLikelihood(), **(call | settings))


def test_patience_ends_training_and_keeps_the_best(overfit, tmp_path):
    whole = learned(overfit)
    best = int(np.argmin(whole.history["held_out"]))
    assert whole.history["held_out"][-1] > whole.history["held_out"][best] + 0.1
    assert (whole.stopped, whole.best_step) == (False, None)
    fit = learned(overfit, patience=500, store=tmp_path / "fit")
    assert fit.stopped
    assert fit.best_step == whole.history["held_out_step"][best]
    assert fit.steps == fit.best_step + 500
    others = overfit[2]
    again = gm.fit(fit.model, others, gm.MaximumLikelihood(), optimizer=optax.sgd(0.0), steps=1, progress=False)
    assert again.history["loss"][0] == pytest.approx(whole.history["held_out"][best], rel=1e-6)
    resumed = learned(overfit, patience=500, store=tmp_path / "fit")
    np.testing.assert_array_equal(resumed.model.params["w"].value, fit.model.params["w"].value)
    assert resumed.steps == fit.steps


def test_patience_needs_other_data_and_whole_steps(overfit):
    with pytest.raises(gm.SpecError, match="Give held_out="):
        learned(overfit, patience=500, held_out=None)
    with pytest.raises(gm.SpecError, match="patience=0"):
        learned(overfit, patience=0)


def test_patience_that_does_not_run_out_gives_the_best_of_all_steps(overfit):
    fit = learned(overfit, patience=100_000)
    assert (fit.stopped, fit.steps) == (False, 6000)
    assert fit.best_step == fit.history["held_out_step"][np.argmin(fit.history["held_out"])]


@pytest.mark.parametrize(
    "objective",
    [gm.ContrastiveDivergence(gm.MALA(0.5)), gm.MaximumLikelihood(gm.MALA(0.5))],
    ids=lambda o: type(o).__name__,
)
def test_patience_is_refused_where_a_lower_loss_is_no_better_fit(objective):
    bowl = gm.energy(lambda x, a: a * x**2, x=gm.Real(), a=gm.param(1.0))
    data = {"x": np.random.default_rng(0).normal(size=50)}
    with pytest.raises(gm.SpecError, match="difference over chains"):
        gm.fit(bowl, data, objective, held_out=data, patience=100, progress=False)


def test_other_data_without_rows_are_refused(overfit):
    with pytest.raises(gm.SpecError, match=r"fit\(held_out\): a has no rows"):
        learned(overfit, held_out={"a": np.zeros((0, 40)), "y": np.zeros(0)})
