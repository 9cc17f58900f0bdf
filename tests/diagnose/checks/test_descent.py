import jax
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm

NORMAL = gm.joint(mu=gm.param(0.0), sigma=gm.param(1.0, gm.Positive()), x=lambda mu, sigma: dist.Normal(mu, sigma))
DATA = {"x": np.random.default_rng(0).normal(2.0, 0.5, size=500)}


def fitted(rate, steps, batch=None, seed=0):
    objective = gm.MaximumLikelihood()
    return gm.fit(
        NORMAL, DATA, objective, optimizer=optax.adam(rate), steps=steps, batch_size=batch, seed=seed, progress=False
    )


@pytest.mark.parametrize(("batch", "seed"), [(None, 0), (50, 0), (50, 1), (50, 2), (50, 3)])
def test_a_fit_at_its_maximum_has_no_slope(batch, seed):
    found = gm.check(fitted(0.05, 600, batch, seed))
    assert found["slope"].status == "ok", found["slope"].evidence
    assert found.status == "ok"


@pytest.mark.parametrize("batch", [None, 50])
def test_a_rate_that_decayed_before_the_maximum_is_told(batch):
    fit = fitted(optax.exponential_decay(0.01, 20, 0.5), 1000, batch)
    found = gm.check(fit)
    assert found["level"].status == "ok"  # the history looks level
    assert found["slope"].status == "suspect", found["slope"].evidence
    best = -dist.Normal(DATA["x"].mean(), DATA["x"].std()).log_prob(DATA["x"]).mean()
    mu, sigma = (fit.model.params[name].value for name in ("mu", "sigma"))
    gain = -dist.Normal(mu, sigma).log_prob(DATA["x"]).mean() - best
    said = float(found["slope"].evidence.split("by ")[1].split()[0])
    np.testing.assert_allclose(said, gain, rtol=1e-2 if batch is None else 0.1)  # the batches are drawn anew


def test_fifty_steps_are_judged_by_the_slope():
    assert gm.check(fitted(0.05, 50))["slope"].status == "suspect"
    good = gm.check(fitted(optax.cosine_decay_schedule(0.5, 50), 50))
    assert (good.status, good["slope"].status) == ("ok", "ok")


def test_chains_without_a_loss_are_left_to_their_own_checks():
    bowl = gm.energy(lambda x, m: 0.5 * (x - m) ** 2, x=gm.Real(), m=gm.param(2.0))
    chains = gm.ContrastiveDivergence(gm.MALA(0.3), steps=5, persistent=True, chains=50)
    found = gm.check(gm.fit(bowl, DATA, chains, steps=100, progress=False))
    assert "slope" not in [finding.name for finding in found.findings]


@pytest.mark.parametrize(("steps", "status"), [(50, "suspect"), (3000, "ok")])
def test_a_network_is_judged_alike(steps, status):
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 1000)
    data = np.stack([2 * np.cos(angle), 2 * np.sin(angle)], 1) + 0.2 * np.random.default_rng(1).normal(size=(1000, 2))
    noise = gm.joint(x=dist.Normal(0.0, 2.0).expand([2]).to_event(1))
    net = gm.nets.MLP(2, width=32, depth=2, key=jax.random.key(0))
    fit = gm.fit(
        gm.energy(net, x=gm.Real(2)) * noise,
        {"x": data},
        gm.NoiseContrastive(noise),
        optimizer=optax.adam(2e-3),
        steps=steps,
        batch_size=200,
        progress=False,
    )
    assert gm.check(fit)["slope"].status == status


@pytest.mark.parametrize(("steps", "batch"), [(60, None), (80, None), (60, 50)])
def test_a_start_far_away_does_not_hide_what_is_left(steps, batch):
    x = np.random.default_rng(0).normal(0.0, 1.0, 500).astype("float32")
    model = gm.joint(mu=gm.param(30.0), x=lambda mu: dist.Normal(mu, 1.0))
    settings = {"optimizer": optax.sgd(0.05), "progress": False, "batch_size": batch}
    far = gm.fit(model, {"x": x}, gm.MaximumLikelihood(), steps=steps, **settings)
    assert abs(float(far.model.params["mu"].value) - x.mean()) > 0.4  # nine standard errors
    assert gm.check(far)["slope"].status == "suspect"
    done = gm.fit(model, {"x": x}, gm.MaximumLikelihood(), steps=400, **settings)
    assert gm.check(done)["slope"].status == "ok"


def test_a_spike_does_not_hide_what_is_left():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 2)).astype("float32") * 0.5 + np.where(rng.random((1000, 1)) < 0.5, -1.0, 1.0)
    network = gm.nets.TimeMLP(2, width=32, key=jax.random.key(0))
    family = gm.score_model(gm.VP(), network, x=gm.Real(2))
    fast = gm.fit(
        family, {"x": x.astype("float32")}, gm.DenoisingScoreMatching(), optimizer=optax.adam(1.0), steps=600,
        progress=False,
    )  # fmt: skip
    assert fast.history["loss"].max() > 1e4
    assert gm.check(fast)["slope"].status == "suspect"
