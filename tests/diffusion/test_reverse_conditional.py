import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

WEIGHTS = np.array([0.3, 0.2, 0.5])
MEANS = np.array([[-1.0, 0.4], [0.5, -0.8], [1.2, 1.1]])
COVARIANCES = np.array([[[0.5, 0.2], [0.2, 0.3]], [[0.2, 0.0], [0.0, 0.1]], [[0.4, -0.3], [-0.3, 0.6]]])
PROCESSES = [gm.Brownian(1.2, t_max=2.0), gm.VP(), gm.SubVP(), gm.Rectified()]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
X = np.array([0.3, -0.5])


def plane():
    parts = dist.MultivariateNormal(jnp.asarray(MEANS), jnp.asarray(COVARIANCES))
    return gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.asarray(WEIGHTS)), parts))


def line():
    parts = dist.Normal(jnp.asarray(MEANS[:, 0]), jnp.asarray(np.sqrt(COVARIANCES[:, 0, 0])))
    return gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.asarray(WEIGHTS)), parts))


def log_densities(model, points):
    density = gm.compile(model)
    return np.asarray(jax.vmap(lambda x: density.log_density({"x": x}))(jnp.asarray(points)))


@each_process
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_exact_conditional_is_that_of_bayes(process, share, x64):
    """log p(x_s | x_t) = log p_s(x_s) + log q(x_t | x_s) - log p_t(x_t), at ten points; share 1 goes to the data."""
    family, t = gm.noise(plane(), process), 0.6 * process.t_max
    s = (1.0 - share) * t
    step = process.transition(s, t)
    points = np.random.default_rng(0).normal(size=(10, 2))
    earlier = log_densities(family.at(s), points)
    forward = dist.Normal(step.scale * points, step.std).log_prob(X).sum(-1)
    found = log_densities(family.reverse_conditional(X, t, share * t), points)
    np.testing.assert_allclose(found, earlier + forward - family.log_density(X, t), rtol=1e-9, atol=1e-9)


def test_from_pure_noise_the_exact_conditional_is_the_earlier_law(x64):
    family, points = gm.noise(plane(), gm.Rectified()), np.random.default_rng(1).normal(size=(5, 2))
    found = log_densities(family.reverse_conditional(X, 1.0, 0.4), points)
    np.testing.assert_allclose(found, log_densities(family.at(0.6), points), rtol=1e-9)
    with pytest.raises(gm.SpecError, match=r"reverse_gaussian\(x, t=1.0, ...\): no signal is left"):
        family.reverse_gaussian(X, 1.0, 0.4)


def test_of_a_data_set_it_is_a_mixture_of_bridges(x64):
    data = np.array([[0.0, 1.0], [2.0, -1.0], [1.0, 1.0]])
    family, process = gm.noise(data, gm.VP()), gm.VP()
    t, s = 0.5, 0.3
    points = np.random.default_rng(2).normal(size=(6, 2))
    step = process.transition(s, t)
    forward = dist.Normal(step.scale * points, step.std).log_prob(X).sum(-1)
    found = log_densities(family.reverse_conditional(X, t, t - s), points)
    wanted = log_densities(family.at(s), points) + forward - family.log_density(X, t)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    with pytest.raises(gm.SpecError, match=r"reverse_conditional\(x, t, dt=t\): at t = 0 this family has no density"):
        family.reverse_conditional(X, t, t)


@each_process
def test_draws_and_means_of_one_step_back(process):
    """The mean of the exact law is that of the Gaussian to order dt squared, for Brownian noise exactly (Tweedie);
    8000 draws agree with it, |z| < 4.5."""
    family, t = gm.noise(plane(), process), 0.5 * process.t_max
    dt = 0.02 * t
    draws = np.asarray(family.reverse_conditional(X, t, dt).sample(jax.random.key(0), 8000)["x"], float)
    mean = np.asarray(family.reverse_gaussian(X, t, dt).factors[0].means[0], float)
    error = draws.std(0) / np.sqrt(8000)
    slack = 0.0 if isinstance(process, gm.Brownian) else dt**2
    assert (np.abs(draws.mean(0) - mean) < 4.5 * error + slack).all()


def divergence(exact, gaussian, x, width):
    """D_KL(exact || Gaussian) on a grid of 20,001 points."""
    grid = np.linspace(x - width, x + width, 20_001)
    p, q = log_densities(exact, grid), log_densities(gaussian, grid)
    np.testing.assert_allclose(np.trapezoid(np.exp(p), grid), 1.0, rtol=1e-8)
    return np.trapezoid(np.exp(p) * (p - q), grid)


def test_the_gaussian_of_the_tutorial_is_off_by_order_dt_squared(x64):
    """KL = (sigma^2 dt)^2 / 4 (log p_t)''^2 + O(dt^3): halving dt quarters it, with this constant."""
    rate, x, t = 1.2, 0.3, 1.0
    family = gm.noise(line(), gm.Brownian(rate, t_max=2.0))
    bend = float(family.divergence(x, t))
    steps = 0.1 * 0.5 ** np.arange(6)
    found = np.array([
        divergence(family.reverse_conditional(x, t, dt), family.reverse_gaussian(x, t, dt), x, 9.0 * rate * dt**0.5)
        for dt in steps
    ])  # fmt: skip
    predicted = (rate**2 * steps * bend) ** 2 / 4.0
    assert (found > 0).all()
    order = np.log2(found[:-1] / found[1:])
    assert abs(order[-1] - 2.0) < 0.02
    assert (np.diff(np.abs(order - 2.0)) < 0).all()
    np.testing.assert_allclose(found[-1] / predicted[-1], 1.0, atol=0.02)


def test_a_learned_score_has_the_gaussian_and_no_exact_conditional(x64):
    process = gm.Brownian(2.0)
    score = lambda x, t: -x / (1.0 + process.sigma(t) ** 2)  # noqa: E731
    family = gm.score_model(process, score, prediction=gm.PredictScore(), x=gm.Real())
    found = log_densities(family.reverse_gaussian(0.8, 0.5, 0.1), np.array([0.4]))
    np.testing.assert_allclose(found, dist.Normal(0.8 - 0.4 * 0.8 / 3.0, 0.4**0.5).log_prob(0.4), rtol=1e-9)
    with pytest.raises(gm.SpecError, match="the score is learned, and the exact law one step back is not known"):
        family.reverse_conditional(0.8, 0.5, 0.1)


def test_steps_that_are_none_are_named():
    family = gm.noise(line(), gm.VP())
    for dt in (0.0, -0.1, 0.6):
        with pytest.raises(gm.SpecError, match=rf"reverse_conditional\(x, t=0.5, dt={dt}\): a step above 0"):
            family.reverse_conditional(0.1, 0.5, dt)


def test_transitions_and_bridges_of_a_family_are_those_of_its_process():
    family = gm.noise(line(), gm.VP())
    np.testing.assert_allclose(family.transition(0.0, 0.5), gm.VP().transition(0.0, 0.5))
    np.testing.assert_allclose(family.bridge(0.2, 0.5), gm.VP().bridge(0.2, 0.5))
    data = gm.noise(np.zeros((3, 1)), gm.Brownian(1.0))
    np.testing.assert_allclose(data.transition(0.0, 0.25), (1.0, 0.5))
    with pytest.raises(gm.SpecError, match=r"transition\(s=0.5, t=0.2\): s is the earlier time"):
        family.transition(0.5, 0.2)
    with pytest.raises(gm.SpecError, match=r"bridge\(s, t=0.0\): there is no time before the data"):
        family.bridge(0.0, 0.0)
    with pytest.raises(gm.SpecError, match="time runs from 0"):
        family.bridge(0.0, 3.0)


def test_one_step_at_a_time():
    family = gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), gm.VP())
    with pytest.raises(gm.SpecError, match="one step is needed"):
        family.reverse_conditional(0.0, 0.5, np.array([0.1, 0.2]))
