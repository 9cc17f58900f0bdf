import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
from gmdsl.objectives.flow_matching import paired

PROCESSES = [gm.Rectified(), gm.VP(), gm.EDM(3.0), gm.Brownian(2.0), gm.SubVP()]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)


def mixture():
    parts = dist.Normal(jnp.array([-1.2, 0.9]), jnp.array([0.15, 0.3]) ** 0.5)
    return gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.35, 0.65])), parts))


def loss(family, objective, data, keys=60):
    one = lambda key: objective.loss(key, family, data, ())[0]  # noqa: E731
    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), keys)))
    return found.mean(), found.std() / np.sqrt(keys)


@each_process
def test_the_loss_is_the_mean_squared_error_of_the_velocity(process):
    """For one datum at 1.5 and a network that says it is at 0, D = 0: the error of the velocity is that of the datum
    times alpha' - alpha sigma'/sigma, by quadrature over even times; |z| < 4.5."""
    family = gm.score_model(process, lambda x, t: 0.0 * x, prediction=gm.PredictClean(), x=gm.Real(2))
    mean, error = loss(family, gm.FlowMatching(), {"x": jnp.full((2000, 2), 1.5)})
    times = np.linspace(process.t_min, process.t_max, 400_001)
    rate = lambda f: jax.vmap(jax.grad(lambda t: f(t)))(jnp.asarray(times))  # noqa: E731
    factor = rate(process.alpha) - process.alpha(times) * rate(process.sigma) / process.sigma(times)
    truth = np.trapezoid(np.asarray(factor, float) ** 2 * 1.5**2, times) / np.ptp(times)
    assert abs(mean - truth) < 4.5 * error + 1e-3 * truth
    assert error < 0.1 * truth


@each_process
def test_the_exact_velocity_has_the_least_loss(process):
    """Of the exact denoiser, and of it moved by 5 % either way; the same draws, so that the order is sure."""
    exact = gm.noise(mixture(), process)
    data = {"x": mixture().sample(jax.random.key(2), 2000)["x"]}

    def lost(factor):
        network = lambda x, t: factor * exact.denoise(x, t)  # noqa: E731
        family = gm.score_model(process, network, prediction=gm.PredictClean(), x=gm.Real())
        return loss(family, gm.FlowMatching(), data, 20)[0]

    assert lost(1.0) < min(lost(0.95), lost(1.05))


@pytest.mark.parametrize("transport", [False, True])
def test_a_learned_flow_draws_the_law_of_the_data(transport):
    """The shares of two modes, mean and second moment of 4000 draws: |z| < 4.5 beside 4 % for network and steps."""
    data = np.asarray(mixture().sample(jax.random.key(0), 20_000)["x"])
    network = gm.nets.TimeMLP((), width=64, depth=3, key=jax.random.key(1))
    family = gm.score_model(gm.Rectified(), network, prediction=gm.PredictVelocity(), x=gm.Real())
    rate = optax.adam(optax.cosine_decay_schedule(3e-3, 1500))
    fit = gm.fit(
        family, {"x": data}, gm.FlowMatching(transport=transport), optimizer=rate, steps=1500, batch_size=64,
        average=0.99, progress=False,
    )  # fmt: skip
    assert ("paired" in fit.remark) == transport
    for way in (gm.DDPM(20), gm.SDEDPMSolver(20), gm.DDIM(eta=0.5, steps=20)) if transport else ():
        with pytest.raises(gm.SpecError, match="a velocity without a score"):
            gm.sample(fit.model, way, draws=5, progress=False)
    if transport:
        gm.sample(fit.model, gm.DDIM(eta=0.0, steps=20), draws=5, progress=False)
        again = gm.fit(fit.model, {"x": data}, gm.DenoisingScoreMatching(), steps=1, progress=False)
        gm.sample(again.model, gm.DDPM(20), draws=5, progress=False)
    tree = gm.sample(fit.model, gm.ReverseODE(gm.Heun(), steps=30), draws=4000, progress=False)
    x = tree["posterior"]["x"].values.ravel().astype(float)
    for power in (1, 2):
        truth, error = (data.astype(float) ** power).mean(), (x**power).std() / np.sqrt(4000)
        assert abs((x**power).mean() - truth) < 4.5 * error + 0.04, (power, (x**power).mean(), truth)
    assert abs(np.mean(x < -0.25) - np.mean(data < -0.25)) < 4.5 * 0.5 / np.sqrt(4000) + 0.02


def test_transport_pairs_so_that_the_sum_of_squares_is_least(x64):
    """Against all 720 orders of six; in one dimension it is the order of the ranks."""
    rng = np.random.default_rng(0)
    clean, noise = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    found = np.asarray(paired(jnp.asarray(clean), jnp.asarray(noise)))
    least = min(np.sum((clean - noise[list(order)]) ** 2) for order in itertools.permutations(range(6)))
    np.testing.assert_allclose(np.sum((clean - found) ** 2), least, rtol=1e-12)
    line, drawn = rng.normal(size=(50, 1)), rng.normal(size=(50, 1))
    found = np.asarray(paired(jnp.asarray(line), jnp.asarray(drawn)))
    np.testing.assert_allclose(found[np.argsort(line[:, 0]), 0], np.sort(drawn[:, 0]))


def test_transport_lowers_the_least_loss():
    """Straight paths that cross less have less variance given where they are: the floor of the loss falls by half."""
    exact = gm.noise(mixture(), gm.Rectified())
    family = gm.score_model(gm.Rectified(), exact.denoise, prediction=gm.PredictClean(), x=gm.Real())
    data = {"x": mixture().sample(jax.random.key(2), 128)["x"]}
    plain, paths = (loss(family, gm.FlowMatching(transport=t), data)[0] for t in (False, True))
    assert paths < plain


def test_inputs_are_learned_as_in_the_design():
    """Data at c: after some seconds draws at c = -1 and c = 1 are there, within 0.15."""
    labels = np.random.default_rng(0).choice([-1.0, 1.0], size=4000).astype(np.float32)
    data = (labels + 0.3 * np.random.default_rng(1).normal(size=4000)).astype(np.float32)
    network = gm.nets.TimeMLP(1, width=32, condition=gm.Real(), key=jax.random.key(0))
    family = gm.score_model(gm.Rectified(), network, x=gm.Real(1), c=gm.input(gm.Real()))
    fit = gm.fit(
        family, {"x": data[:, None], "c": labels}, gm.FlowMatching(), optimizer=optax.adam(3e-3), steps=800,
        batch_size=256, average=0.99, progress=False,
    )  # fmt: skip
    for c in (-1.0, 1.0):
        tree = gm.sample(fit.model.condition(c=c), gm.ReverseODE(gm.Heun(), steps=20), draws=1000, progress=False)
        x = tree["posterior"]["x"].values.ravel()
        assert abs(x.mean() - c) < 0.15
        assert abs(x.std() - 0.3) < 0.1
    with pytest.raises(gm.SpecError, match=r"FlowMatching\(transport=True\)\): the family has the input c"):
        gm.fit(family, {"x": data[:, None], "c": labels}, gm.FlowMatching(transport=True))


def test_what_has_no_velocity_to_learn_and_batches_too_large_to_pair_are_refused():
    with pytest.raises(gm.SpecError, match=r"fit\(..., FlowMatching\(\)\): a model has no score to learn"):
        gm.fit(gm.joint(m=gm.param(0.0), x=lambda m: dist.Normal(m, 1.0)), {"x": np.zeros(5)}, gm.FlowMatching())
    with pytest.raises(gm.SpecError, match="1025 data per step are too many to be paired, at most 1024"):
        paired(jnp.zeros((1025, 1)), jnp.zeros((1025, 1)))
