import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm

RNG = np.random.default_rng(0)
NORMAL = gm.joint(mu=gm.param(0.0), sigma=gm.param(1.0, gm.Positive()), x=lambda mu, sigma: dist.Normal(mu, sigma))
DATA = {"x": RNG.normal(2.0, 0.5, size=500)}


def bowl(w=1.0, m=0.0):
    return gm.energy(lambda x, w, m: 0.5 * w * (x - m) ** 2, x=gm.Real(), w=gm.param(w), m=gm.param(m))


def fitted(model=NORMAL, data=DATA, objective=None, rate=0.05, steps=600, **kwargs):
    objective = gm.MaximumLikelihood() if objective is None else objective
    return gm.fit(model, data, objective, optimizer=optax.adam(rate), steps=steps, progress=False, **kwargs)


@pytest.mark.parametrize("batch", [None, 50])
def test_a_fit_that_reached_its_maximum_is_ok(batch):
    report = gm.check(fitted(batch_size=batch))
    assert report.status == "ok"
    assert report["level"].status == "ok"


@pytest.mark.parametrize("batch", [None, 50])
def test_a_fit_that_was_stopped_on_its_way_is_suspect(batch):
    report = gm.check(fitted(rate=2e-3, steps=300, batch_size=batch))
    assert report["level"].status == "suspect"
    assert "more steps" in report["level"].advice


def test_a_likelihood_without_a_maximum_is_suspect():
    """A normal at each datum of a single point: its scale goes to zero."""
    report = gm.check(fitted(data={"x": np.full(20, 1.5)}, rate=0.01, steps=800))
    assert report["level"].status == "suspect"


@pytest.mark.parametrize("seed", range(4))
def test_contrastive_fits_that_reach_the_maximum_are_ok(seed):
    chains = gm.ContrastiveDivergence(gm.MALA(0.3), steps=10, persistent=True, chains=200)
    report = gm.check(fitted(bowl(), objective=chains, rate=0.02, steps=600, seed=seed))
    assert report.status == "ok", str(report)
    assert "contrastive divergence" in report["objective"].evidence


def test_a_contrastive_fit_that_runs_away_is_suspect_though_it_is_finite():
    net = gm.nets.MLP(2, width=32, depth=2, key=jax.random.key(0))
    model = gm.energy(net, x=gm.Real(2))
    data = {"x": RNG.normal(size=(400, 2))}
    chains = gm.ContrastiveDivergence(gm.Langevin(0.1), steps=20, persistent=True, chains=100)
    fit = fitted(model, data, chains, rate=0.5, steps=600)
    assert np.isfinite(fit.history["loss"]).all()
    assert np.abs(fit.history["loss"][-50:]).mean() > 1e3  # it does run away
    assert "acceptance" not in fit.history  # Langevin accepts all: no rate
    report = gm.check(fit)
    assert report.status == "suspect"
    assert "runs away" in report["level"].evidence
    assert "learning rate" in report["level"].advice


def test_noise_far_from_the_data_teaches_nothing():
    far = gm.NoiseContrastive(gm.joint(x=dist.Normal(60.0, 1.0)))
    assert gm.check(fitted(bowl(), objective=far))["noise"].status == "suspect"
    near = gm.NoiseContrastive(gm.joint(x=dist.Normal(1.5, 1.0)))
    assert gm.check(fitted(bowl(), objective=near, steps=2000)).status == "ok"


def test_held_out_data_tell_when_a_fit_learns_by_heart():
    rng = np.random.default_rng(3)
    few, others = rng.normal(size=(6, 8)), rng.normal(size=(500, 8))
    model = gm.joint(
        m=gm.param(jnp.zeros(8)), s=gm.param(jnp.ones(8), gm.Positive(8)), x=lambda m, s: dist.Normal(m, s)
    )
    fit = fitted(model, {"x": few}, held_out={"x": others}, rate=1e-3, steps=2000)
    report = gm.check(fit)
    assert report["held out"].status == "suspect"
    assert gm.check(fitted(held_out={"x": RNG.normal(2.0, 0.5, size=500)}))["held out"].status == "ok"


def test_an_empty_history_has_failed():
    assert gm.check(gm.Fit(NORMAL, {}, 0, False)).status == "failed"


@pytest.mark.parametrize(("steps", "status"), [(150, "suspect"), (1200, "ok")])
def test_an_energy_that_is_still_on_its_way_is_told(steps, status):
    model = gm.energy(lambda x, J: -J * x[0] * x[1], x=gm.Spin(2), J=gm.param(0.0))
    rows = np.random.default_rng(0).choice([-1.0, 1.0], size=(1000, 1)) * np.array([[1.0, 1.0]])
    rows[:250, 1] *= -1.0  # a quarter of them differ: J is atanh(0.5) = 0.549
    objective = gm.ContrastiveDivergence(gm.Gibbs(), persistent=True)
    found = gm.fit(model, {"x": rows}, objective, steps=steps, optimizer=optax.adam(0.002), progress=False)
    level = gm.check(found)["level"]
    assert level.status == status, level.evidence
    if status == "suspect":
        assert "log_density_data" in level.evidence


def test_a_fall_that_is_small_beside_the_first_one_and_large_in_nats_is_no_level():
    model = gm.joint(mu=gm.param(50.0), sigma=gm.param(1.0, gm.Positive()), x=lambda mu, sigma: dist.Normal(mu, sigma))
    level = gm.check(fitted(model, {"x": RNG.normal(1.5, 0.7, 500)}, rate=0.01, steps=1000))["level"]
    assert (level.status, level.evidence.split()[4] > "1") == ("suspect", True)


@pytest.mark.parametrize(("step", "status"), [(1e-3, "suspect"), (0.1, "ok")])
def test_chains_that_move_by_little_at_a_time_are_told(step, status):
    objective = gm.ContrastiveDivergence(gm.MALA(step_size=step), steps=1, persistent=True, chains=100)
    found = fitted(bowl(), {"x": RNG.normal(1.5, 0.7, 500)}, objective, rate=0.01, steps=200)
    assert gm.check(found)["chains"].status == status
