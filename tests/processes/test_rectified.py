import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

WEIGHTS, MEANS, SDS = np.array([0.3, 0.7]), np.array([-1.5, 1.0]), np.array([0.2, 0.5])


def mixture():
    return gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=WEIGHTS), dist.Normal(MEANS, SDS)))


def learned(prediction):
    return gm.score_model(
        gm.Rectified(),
        gm.nets.TimeMLP(2, width=16, key=jax.random.key(0)),
        prediction=prediction,
        x=gm.Real(2),
    )


def test_signal_and_noise_are_straight_and_so_are_drift_and_diffusion_before_the_end(x64):
    process = gm.Rectified()
    for t in (0.0, 0.2, 0.7, 0.99):
        np.testing.assert_allclose([process.alpha(t), process.sigma(t)], [1.0 - t, t])
        np.testing.assert_allclose(process.drift(t), -1.0 / (1.0 - t), rtol=1e-9)
        np.testing.assert_allclose(process.diffusion(t) ** 2, 2.0 * t / (1.0 - t), rtol=1e-9, atol=1e-11)
    for t in (0.995, 1.0):
        assert float(process.drift(t)) == float(process.drift(0.99))
        assert float(process.diffusion(t)) == float(process.diffusion(0.99))


def test_transitions_and_bridges_reach_the_end_without_signal(x64):
    process = gm.Rectified()
    np.testing.assert_allclose(process.transition(0.4, 1.0), (0.0, 1.0))
    np.testing.assert_allclose(process.transition(1.0, 1.0), (1.0, 0.0))
    np.testing.assert_allclose(process.bridge(0.4, 1.0), (0.0, 0.6, 0.4))  # x_1 tells nothing of x_0.4
    np.testing.assert_allclose(process.level(1.0), 1.0)
    np.testing.assert_allclose(process.level(process.time_at(jnp.array([0.0, 0.5, 1.0]))), [0.0, 0.5, 1.0], atol=1e-6)
    assert float(process.prior_scale) == 1.0


def test_every_verb_of_an_exact_family_is_right_at_the_end(x64):
    """x_1 is pure noise: the score is -x, the clean datum its mean, the velocity x - E[x_0]."""
    family, x = gm.noise(mixture(), gm.Rectified()), 0.8
    mean = float(WEIGHTS @ MEANS)
    np.testing.assert_allclose(family.log_density(x, 1.0), dist.Normal().log_prob(x), rtol=1e-12)
    np.testing.assert_allclose(family.score(x, 1.0), -x, rtol=1e-12)
    np.testing.assert_allclose(family.denoise(x, 1.0), mean, rtol=1e-12)
    np.testing.assert_allclose(family.velocity(x, 1.0), x - mean, rtol=1e-9)
    np.testing.assert_allclose(family.divergence(x, 1.0), -1.0, rtol=1e-9)
    np.testing.assert_allclose(gm.compile(family.at(1.0)).log_density({"x": x}), dist.Normal().log_prob(x), rtol=1e-9)


def test_the_velocity_is_the_expected_difference_of_noise_and_datum(x64):
    """By quadrature over x_0, at points of the middle and near both ends."""
    family = gm.noise(mixture(), gm.Rectified())
    grid = np.linspace(-6.0, 6.0, 40_001)
    prior = np.sum(WEIGHTS * np.exp(-0.5 * ((grid[:, None] - MEANS) / SDS) ** 2) / SDS, axis=1)
    for x, t in ((0.3, 0.05), (-0.9, 0.5), (1.1, 0.9), (-0.4, 0.999)):
        weight = prior * np.exp(-0.5 * ((x - (1 - t) * grid) / t) ** 2)
        wanted = np.sum(weight * ((x - (1 - t) * grid) / t - grid)) / np.sum(weight)
        np.testing.assert_allclose(family.velocity(x, t), wanted, rtol=1e-8)


def test_a_data_set_and_every_prediction_are_finite_at_the_end():
    data = gm.noise(np.array([[0.5, 1.0], [2.0, -1.0]]), gm.Rectified())
    np.testing.assert_allclose(data.denoise([0.1, 0.2], 1.0), [1.25, 0.0], rtol=1e-6)
    np.testing.assert_allclose(data.velocity([0.1, 0.2], 1.0), [-1.15, 0.2], rtol=1e-5)
    for prediction in (gm.Preconditioned(), gm.PredictNoise(), gm.PredictScore()):
        family = learned(prediction)
        for t in (family.process.t_min, 0.5, 0.99, 1.0):
            for verb in (family.score, family.denoise, family.velocity):
                assert np.isfinite(verb([0.1, 0.2], t)).all(), (prediction, t, verb)
            np.testing.assert_allclose(family.score([0.1, 0.2], 1.0), [-0.1, -0.2], rtol=1e-4)


WAYS = (
    gm.ReverseODE(gm.Heun(), steps=80),
    gm.ReverseODE(gm.Euler(), steps=800),
    gm.ReverseODE(gm.DPMSolver(), steps=80),
    gm.ReverseSDE(steps=800),
    gm.DDPM(steps=800),
    gm.AnnealedLangevin(temperatures=40),
)


@pytest.mark.parametrize("way", WAYS, ids=lambda w: type(getattr(w, "solver", w)).__name__)
def test_every_way_back_gives_the_law_of_the_data(way):
    """Mean and second moment about it, of 6000 draws: |z| < 4.5 beside 1.5 % for the steps; Langevin also mixes."""
    family = gm.noise(mixture(), gm.Rectified())
    x = gm.sample(family, way, draws=6000, progress=False)["posterior"]["x"].values.ravel().astype(float)
    mean = WEIGHTS @ MEANS
    variance = WEIGHTS @ (SDS**2 + MEANS**2) - mean**2
    slack = 0.05 if isinstance(way, gm.AnnealedLangevin) else 0.015
    assert abs(x.mean() - mean) < 4.5 * np.sqrt(variance / 6000) + slack
    squares = (x - mean) ** 2
    assert abs(squares.mean() / variance - 1.0) < 4.5 * squares.std() / variance / np.sqrt(6000) + slack


def test_the_likelihood_by_the_flow_is_exact(x64):
    """The end of the flow is the standard normal law itself: no prior has to be given."""
    family, x = gm.noise(mixture(), gm.Rectified()), np.array([-1.6, 0.0, 1.2])
    truth = [family.log_density(v, 0.0) for v in x]
    np.testing.assert_allclose(gm.log_likelihood(family, x, rtol=1e-8, atol=1e-8), truth, atol=1e-5)


@pytest.mark.parametrize("t_max", [0.0, 1.5, -1.0, float("nan")])
def test_a_last_time_that_is_none_is_an_error_with_its_value(t_max):
    with pytest.raises(gm.SpecError, match=rf"Rectified\(t_max={t_max}\): a time above 0"):
        gm.Rectified(t_max)
