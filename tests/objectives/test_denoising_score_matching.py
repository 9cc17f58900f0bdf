import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
from tests.cases.scoring import load

CASE = load("diffusion", "gmm1d_vp")


def mixture():
    data = CASE.arrays
    parts = dist.MultivariateNormal(data["means"], data["covs"])
    return gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=data["weights"]), parts))


@pytest.fixture(scope="module")
def learned():
    """A small network after some seconds of training on 50,000 draws."""
    data = np.asarray(mixture().sample(jax.random.key(0), 50_000)["x"])
    network = gm.nets.TimeMLP(1, width=64, depth=3, key=jax.random.key(1))
    family = gm.score_model(gm.VP(), network, prediction=gm.Preconditioned(float(data.std())), x=gm.Real(1))
    fit = gm.fit(
        family, {"x": data}, gm.DenoisingScoreMatching(),
        optimizer=optax.adam(optax.cosine_decay_schedule(3e-3, 4000)),
        steps=4000, batch_size=512, average=0.99, seed=1, progress=False,
    )  # fmt: skip
    return fit.model


def test_the_denoiser_learns_to_the_least_possible_loss(learned):
    """At every level the excess over the least loss is above -3 standard errors (of 100,000 draws), and the distance
    from the exact denoiser, which is that excess without noise, is below 5 % of the least loss."""
    key_data, key_noise = jax.random.split(jax.random.key(7))
    clean = mixture().sample(key_data, 100_000)["x"]
    noise = jax.random.normal(key_noise, clean.shape)
    exact = gm.noise(mixture(), gm.VP())
    for row in CASE.meta["mmse"]:
        t, least = row["t"], row["min_denoising_loss_x0"]
        x = gm.VP().noisy(clean, noise, t)
        found, best = (jax.vmap(lambda x, f=f, t=t: f.denoise(x, t))(x) for f in (learned, exact))
        losses = np.asarray((found - clean) ** 2, float)
        excess, error = losses.mean() - least, losses.std() / np.sqrt(len(losses))
        assert excess > -3.0 * error, row
        assert np.mean((found - best) ** 2) < 0.05 * least, row
        assert excess < 0.05 * least + 3.0 * error, row


def test_the_score_is_near_the_exact_one_where_there_is_mass(learned):
    """The root mean square error over p_t is below 15 % of the size of the score from t = 0.3 on, below 40 % at 0.1;
    nearer to the data the score is one over a small noise, and the denoiser is the fairer measure."""
    exact = gm.noise(mixture(), gm.VP())
    for row in CASE.meta["mmse"][2:]:
        t = row["t"]
        x = exact.at(t).sample(jax.random.key(1), 5000)["x"]
        found, true = (jax.vmap(lambda x, f=f, t=t: f.score(x, t))(x) for f in (learned, exact))
        assert np.mean((found - true) ** 2) < (0.4 if t < 0.3 else 0.15) ** 2 * row["fisher_information"], row


def test_the_likelihood_of_the_learned_family_is_near_the_true_one(learned):
    """Mean over 200 data within 0.1 nats; a single one may be off by more near the narrow component: over ten seeds of
    training the median distance was 0.06 to 0.19."""
    x = np.asarray(mixture().sample(jax.random.key(5), 200)["x"])
    exact = gm.noise(mixture(), gm.VP())
    gap = gm.log_likelihood(learned, x) - jax.vmap(lambda x: exact.log_density(x, 0.0))(x)
    assert abs(gap.mean()) < 0.1
    assert np.median(np.abs(gap)) < 0.25


def test_draws_have_the_law_of_the_data(learned):
    """Mean and second moment of 4000 draws within 4.5 standard errors and 3 % of the scale of the data."""
    truth = np.asarray(mixture().sample(jax.random.key(6), 200_000)["x"]).astype(float)
    for generator in (gm.ReverseSDE(steps=300), gm.ReverseODE(gm.DPMSolver(), steps=40)):
        x = gm.sample(learned, generator, draws=4000, progress=False)["posterior"]["x"].values[0].astype(float)
        for power, scale in ((1, truth.std()), (2, truth.var() + truth.mean() ** 2)):
            error = (x**power).std() / np.sqrt(4000)
            assert abs((x**power).mean() - (truth**power).mean()) < 4.5 * error + 0.03 * scale, (generator, power)


def loss(family, clean, keys=50):
    one = lambda key: gm.DenoisingScoreMatching().loss(key, family, {"x": clean}, ())[0]  # noqa: E731
    found = np.asarray(jax.vmap(one)(jax.random.split(jax.random.key(0), keys)))
    return found.mean(), found.std() / np.sqrt(keys)


def test_the_loss_is_the_error_of_the_network_averaged_over_levels():
    """For standard normal data under VP the best prediction of the noise is sigma x, with error alpha^2 at each time;
    without a prediction the error is one. Averaged over log(sigma / alpha) by quadrature; |z| < 4.5."""
    process, clean = gm.VP(), jax.random.normal(jax.random.key(1), (4000, 3))
    clean = (clean - clean.mean(0)) / clean.std(0)
    best = gm.score_model(process, lambda x, t: process.sigma(t) * x, prediction=gm.PredictNoise(), x=gm.Real(3))
    none = gm.score_model(process, lambda x, t: 0.0 * x, prediction=gm.PredictNoise(), x=gm.Real(3))
    ratio = np.linspace(*(float(jnp.log(process.sigma(t) / process.alpha(t))) for t in (process.t_min, 1.0)), 100_001)
    alpha_squared = 1.0 / (1.0 + np.exp(2.0 * ratio))
    for family, truth in [(best, np.trapezoid(alpha_squared, ratio) / np.ptp(ratio)), (none, 1.0)]:
        mean, error = loss(family, clean)
        assert abs(mean - truth) < 4.5 * error
        assert error < 0.01


def test_data_named_otherwise_ordered_are_matched_by_name():
    """Two variables, one constant: the best denoiser knows it, so a network of zeros has its loss from the other."""

    def network(x, t):
        return {"a": gm.VP().noise_of(x["a"], 5.0, t), "b": gm.VP().sigma(t) * x["b"]}

    family = gm.score_model(gm.VP(), network, prediction=gm.PredictNoise(), a=gm.Real(), b=gm.Real(2))
    batch = {"b": jax.random.normal(jax.random.key(0), (5000, 2)), "a": jnp.full(5000, 5.0)}
    found, (_, metrics) = gm.DenoisingScoreMatching().loss(jax.random.key(1), family, batch, ())
    wrong, _ = gm.DenoisingScoreMatching().loss(jax.random.key(1), family, {**batch, "a": jnp.full(5000, 4.0)}, ())
    assert metrics == {}
    assert found < 1.0
    assert wrong > 2.0 * found


def test_every_prediction_learns(x64):
    """300 steps reduce the loss of each by a third."""
    data = {"x": np.random.default_rng(0).normal(size=(500, 2)) * [1.0, 0.3] + [2.0, 0.0]}
    for prediction in (gm.Preconditioned(1.5), gm.PredictNoise(), gm.PredictScore()):
        network = gm.nets.TimeMLP(2, width=32, key=jax.random.key(0))
        family = gm.score_model(gm.VE(0.05, 5.0), network, prediction=prediction, x=gm.Real(2))
        fit = gm.fit(
            family, data, gm.DenoisingScoreMatching(), optimizer=optax.adam(3e-3), steps=300, batch_size=200,
            progress=False,
        )  # fmt: skip
        assert fit.history["loss"][-50:].mean() < 0.7 * fit.history["loss"][:10].mean(), prediction
        assert isinstance(fit.model, gm.Noised)


SCALE = 1.12
LEARNERS = [
    (gm.Preconditioned(SCALE), gm.DenoisingScoreMatching(gm.EDMWeighting(SCALE))),
    (gm.PredictEnergy(SCALE), gm.DenoisingScoreMatching(gm.EDMWeighting(SCALE, mean=-0.5, std=0.8))),
    (gm.Preconditioned(SCALE), gm.DenoisingScoreMatching(gm.MinSNRWeighting())),
    (gm.PredictNoise(), gm.DenoisingScoreMatching()),
    (gm.PredictScore(), gm.DenoisingScoreMatching()),
    (gm.PredictClean(), gm.DenoisingScoreMatching()),
    (gm.PredictVelocity(), gm.DenoisingScoreMatching(gm.LikelihoodWeighting())),
]


@pytest.mark.parametrize(("prediction", "objective"), LEARNERS, ids=lambda x: type(x).__name__)
def test_whatever_is_predicted_the_exact_score_is_recovered(prediction, objective):
    """Two modes in one dimension: the root mean square error of the score over p_t is below 12 % of its size at
    t = 0.2 and 8 % at 0.5, where the score of one Gaussian in place of the two is off by 40 % and 2 %."""
    parts = dist.Normal(jnp.array([-1.2, 0.9]), jnp.array([0.15, 0.3]) ** 0.5)
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.35, 0.65])), parts))
    data = np.asarray(model.sample(jax.random.key(0), 20_000)["x"])
    out = "scalar" if prediction.scalar else None
    network = gm.nets.TimeMLP((), width=64, depth=3, out=out, key=jax.random.key(1))
    family = gm.score_model(gm.VP(), network, prediction=prediction, x=gm.Real())
    rate = optax.adam(optax.cosine_decay_schedule(3e-3, 2000))
    fit = gm.fit(
        family, {"x": data}, objective, optimizer=rate, steps=2000, batch_size=256, average=0.99, progress=False
    )
    exact = gm.noise(model, gm.VP())
    for t, limit in ((0.2, 0.12), (0.5, 0.08)):
        x = exact.at(t).sample(jax.random.key(1), 4000)["x"]
        found, true = (jax.vmap(lambda x, f=f, t=t: f.score(x, t))(x) for f in (fit.model, exact))
        assert jnp.sqrt(jnp.mean((found - true) ** 2) / jnp.mean(true**2)) < limit, t


def test_a_weighting_replaces_levels_and_weights():
    """For standard normal data under VP and a network of zeros the error of the clean datum at t is that of
    D = x / alpha, SNR^-1: the loss is the mean of w / SNR over the times drawn, by quadrature; |z| < 4.5."""
    process = gm.VP()
    clean = jax.random.normal(jax.random.key(1), (4000, 3))
    family = gm.score_model(process, lambda x, t: 0.0 * x, prediction=gm.PredictNoise(), x=gm.Real(3))
    for weighting in (gm.LikelihoodWeighting(), gm.MinSNRWeighting(2.0), gm.EDMWeighting(1.0)):
        objective = gm.DenoisingScoreMatching(weighting)
        one = lambda key, o=objective: o.loss(key, family, {"x": clean}, ())[0]  # noqa: E731
        found = np.asarray(jax.vmap(one)(jax.random.split(jax.random.key(0), 50)))
        times = weighting.time(process, (jnp.arange(20_000) + 0.5) / 20_000)
        snr = (process.alpha(times) / process.sigma(times)) ** 2
        truth = float(jnp.mean(jax.vmap(lambda t, w=weighting: w.weight(process, t))(times) / snr))
        error = found.std() / np.sqrt(50)
        assert abs(found.mean() - truth) < 4.5 * error + 1e-3 * truth, weighting
        assert error < 0.03 * truth
    with pytest.raises(
        gm.SpecError, match=r"DenoisingScoreMatching\(weighting=MinSNRWeighting\): a weighting is needed"
    ):
        gm.DenoisingScoreMatching(gm.MinSNRWeighting)


def test_what_has_no_score_to_learn_is_refused():
    objective, data = gm.DenoisingScoreMatching(), {"x": np.zeros((5, 1))}
    with pytest.raises(gm.SpecError, match=r"fit\(..., DenoisingScoreMatching\(\)\): a model has no score to learn"):
        gm.fit(gm.joint(m=gm.param(0.0), x=lambda m: dist.Normal(m, 1.0)), {"x": np.zeros(5)}, objective)
    with pytest.raises(gm.SpecError, match="a family whose score is exact has no score to learn"):
        gm.fit(gm.noise(mixture(), gm.VP()), data, objective)


def test_data_that_are_missing_misnamed_or_misshapen_are_refused():
    family = gm.score_model(
        gm.VP(), lambda x, t: x, a=gm.Real(), b=gm.Real(2)
    )  # fmt: skip
    network = gm.nets.TimeMLP(2, width=4, key=jax.random.key(0))
    single = gm.score_model(gm.VP(), network, x=gm.Real(2))
    objective = gm.DenoisingScoreMatching()
    with pytest.raises(gm.SpecError, match="b has no data"):
        gm.fit(family, {"a": np.zeros(5)}, objective)
    with pytest.raises(gm.SpecError, match="y is no free variable and no input; those are x"):
        gm.fit(single, {"y": np.zeros((5, 2))}, objective)
    with pytest.raises(gm.SpecError, match="x"):
        gm.fit(single, {"x": np.zeros((5, 3))}, objective)
    with pytest.raises(gm.SpecError, match="x"):
        gm.fit(single, {"x": np.full((5, 2), np.nan)}, objective)


def test_a_family_is_not_learned_by_likelihood():
    network = gm.nets.TimeMLP(2, width=4, key=jax.random.key(0))
    family = gm.score_model(gm.VP(), network, x=gm.Real(2))
    with pytest.raises(gm.SpecError, match="MaximumLikelihood"):
        gm.fit(family, {"x": np.zeros((5, 2))}, gm.MaximumLikelihood(), progress=False)
