import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.diffusion.prediction import Prediction

PROCESSES = [gm.VP(), gm.VE(0.05, 10.0), gm.EDM(20.0), gm.Cosine(), gm.SubVP(), gm.Rectified(0.98)]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
X_0, NOISE = jnp.array([0.7, -1.2, 0.1]), jnp.array([-0.4, 0.9, 1.5])
MEAN, VARIANCE = 0.6, 1.7


def denoiser(process, x, t):
    """E[x_0 | x_t] of data N(0.6, 1.7)."""
    alpha, noise = process.alpha(t), process.sigma(t) ** 2
    return MEAN + alpha * VARIANCE / (alpha**2 * VARIANCE + noise) * (x - alpha * MEAN)


def oracle_noise(process):
    return lambda x, t: process.noise_of(x, denoiser(process, x, t), t)


def oracle_score(process):
    return lambda x, t: process.score_of(x, denoiser(process, x, t), t)


def oracle_velocity(process):
    """f x - g^2 s / 2, by drift and diffusion."""
    score = oracle_score(process)
    return lambda x, t: process.drift(t) * x - 0.5 * process.diffusion(t) ** 2 * score(x, t)


def oracle_residual(process, scale):
    """The network that makes the preconditioned denoiser exact, read from its definition (Karras et al., eq. 7)."""

    def network(scaled, level):
        t = process.time_at(level)
        signal, noise = process.alpha(t) * scale, process.sigma(t)
        total = jnp.sqrt(signal**2 + noise**2)
        x = scaled * total
        return (denoiser(process, x, t) - scale * signal / total**2 * x) * total / (noise * scale)

    return network


@each_process
def test_an_oracle_gives_the_oracle_denoiser(process, x64):
    for t in (process.t_min, 0.2 * process.t_max, process.t_max):
        x = process.noisy(X_0, NOISE, t)
        exact = denoiser(process, x, t)
        found = gm.PredictNoise().denoise(process, oracle_noise(process), x, t)
        np.testing.assert_allclose(found, exact, rtol=1e-8, atol=1e-9)
        found = gm.PredictScore().denoise(process, oracle_score(process), x, t)
        np.testing.assert_allclose(found, exact, rtol=1e-8, atol=1e-9)
        found = gm.PredictClean().denoise(process, lambda x, t: denoiser(process, x, t), x, t)
        np.testing.assert_allclose(found, exact)
        found = gm.PredictVelocity().denoise(process, oracle_velocity(process), x, t)
        np.testing.assert_allclose(found, exact, rtol=1e-8, atol=1e-9)
        if process.level(t) in (0.0, 1.0) or not isinstance(process, gm.Cosine):
            found = gm.Preconditioned(1.3).denoise(process, oracle_residual(process, 1.3), x, t)
            np.testing.assert_allclose(found, exact, rtol=1e-4)


@each_process
def test_the_weight_makes_the_error_that_of_the_network_itself(process, x64):
    """A network that is off by d has a weighted error of the denoiser of |d|^2 in its own units.

    For the score these units are those of sigma * score, which all levels share.
    """
    off = jnp.array([0.3, -0.2, 0.6])
    zero = lambda x, t: jnp.zeros_like(x)  # noqa: E731
    for t in (process.t_min, 0.3 * process.t_max, process.t_max):
        x = process.noisy(X_0, NOISE, t)
        units = {
            gm.Preconditioned(1.3): 1.0, gm.PredictNoise(): 1.0, gm.PredictScore(): process.sigma(t),
            gm.PredictClean(): 1.0, gm.PredictVelocity(): 1.0,
        }  # fmt: skip
        for prediction, unit in units.items():
            shifted = lambda x, t, unit=unit: off / unit  # noqa: E731
            gap = prediction.denoise(process, shifted, x, t) - prediction.denoise(process, zero, x, t)
            np.testing.assert_allclose(prediction.weight(process, t) * gap**2, off**2, rtol=1e-8)


@each_process
def test_preconditioned_input_and_target_have_variance_one(process, x64):
    """For data of the standard deviation it is told; 20,000 draws, |z| < 4.5."""
    n, scale = 20_000, 1.3
    key_data, key_noise = jax.random.split(jax.random.key(0))
    clean, noise = scale * jax.random.normal(key_data, (n,)), jax.random.normal(key_noise, (n,))
    seen = []
    for t in (process.t_min, 0.3 * process.t_max, process.t_max):
        x = process.noisy(clean, noise, t)
        record = lambda scaled, level: seen.append(scaled) or jnp.zeros_like(scaled)  # noqa: E731
        skip = gm.Preconditioned(scale).denoise(process, record, x, t)
        target = (clean - skip) * jnp.sqrt(gm.Preconditioned(scale).weight(process, t))
        for value in (seen[-1], target):
            assert abs(jnp.mean(value**2) - 1.0) < 4.5 * np.sqrt(2 / n)


def test_the_network_sees_the_level_of_noise_or_the_time(x64):
    process, seen = gm.VP(), []
    record = lambda x, t: seen.append(float(t)) or x  # noqa: E731
    gm.Preconditioned().denoise(process, record, X_0, process.t_min)
    gm.Preconditioned().denoise(process, record, X_0, 1.0)
    gm.PredictNoise().denoise(process, record, X_0, 0.3)
    gm.PredictScore().denoise(process, record, X_0, 0.4)
    np.testing.assert_allclose(seen, [0.0, 1.0, 0.3, 0.4], atol=1e-12)


def test_a_prediction_of_ones_own_takes_two_methods(x64):
    class PredictData(Prediction):
        def denoise(self, process, network, x, t):
            return network(x, t)

        def weight(self, process, t):
            return jnp.ones(())

    network = lambda x, t: denoiser(gm.VP(), x, t)  # noqa: E731
    family = gm.score_model(gm.VP(), network, prediction=PredictData(), x=gm.Real())
    variance = gm.VP().alpha(0.3) ** 2 * VARIANCE + gm.VP().sigma(0.3) ** 2
    np.testing.assert_allclose(family.score(0.2, 0.3), -(0.2 - gm.VP().alpha(0.3) * MEAN) / variance, rtol=1e-9)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_is_none_is_named(scale):
    with pytest.raises(gm.SpecError, match=rf"Preconditioned\(scale={scale}\): a finite number above zero"):
        gm.Preconditioned(scale)


def bowl(x, level):
    """A scalar with a gradient that is neither linear nor along one axis."""
    return jnp.sum(jnp.cos(x)) + level * x[0] * x[1] + x[2] ** 3 / 3.0


@each_process
def test_the_energy_is_preconditioned_and_its_negative_gradient_is_the_score(process, x64):
    prediction, plain = gm.PredictEnergy(1.3), gm.Preconditioned(1.3)
    downhill = lambda x, level: -jax.grad(bowl)(x, level)  # noqa: E731
    for t in (process.t_min, 0.3 * process.t_max, process.t_max):
        x = process.noisy(X_0, NOISE, t)
        found = prediction.denoise(process, bowl, x, t)
        np.testing.assert_allclose(found, plain.denoise(process, downhill, x, t), rtol=1e-10)
        np.testing.assert_allclose(prediction.weight(process, t), plain.weight(process, t))
        slope = jax.grad(lambda x, t=t: prediction.energy(process, bowl, x, t))(x)
        np.testing.assert_allclose(process.score_of(x, found, t), -slope, rtol=1e-6, atol=1e-9)


def test_the_score_of_an_energy_has_no_curl_and_that_of_a_free_network_has(x64):
    """The Jacobian of a gradient is symmetric."""
    scalar = gm.nets.TimeMLP(3, width=16, out="scalar", key=jax.random.key(0))
    free = gm.nets.TimeMLP(3, width=16, key=jax.random.key(0))
    for network, prediction, curl in ((scalar, gm.PredictEnergy(), False), (free, gm.Preconditioned(), True)):
        family = gm.score_model(gm.VP(), network, prediction=prediction, x=gm.Real(3))
        bend = jax.jacfwd(lambda x, family=family: family.score(x, 0.4))(jnp.array([0.2, -0.7, 1.0]))
        assert (np.abs(bend - bend.T).max() > 1e-3) == curl
        assert np.abs(bend).max() > 0.1


def test_an_energy_of_several_variables_is_one_number(x64):
    network = lambda x, level: x["a"] * jnp.sum(x["b"]) * level  # noqa: E731
    family = gm.score_model(gm.VP(), network, prediction=gm.PredictEnergy(), a=gm.Real(), b=gm.Real(2))
    process, point = gm.VP(), {"a": 0.4, "b": jnp.array([1.0, -0.3])}
    found = family.denoise(point, 0.3)
    product = lambda x, level: x[0] * (x[1] + x[2]) * level  # noqa: E731
    wanted = gm.PredictEnergy().denoise(process, product, jnp.array([0.4, 1.0, -0.3]), 0.3)
    np.testing.assert_allclose(jnp.append(found["a"], found["b"]), wanted, rtol=1e-12)
    with pytest.raises(gm.SpecError, match=r"returns shape \(2,\), but PredictEnergy needs one number"):
        gm.score_model(gm.VP(), lambda x, t: x, prediction=gm.PredictEnergy(), x=gm.Real(2))
    with pytest.raises(gm.SpecError, match=r"PredictEnergy\(scale=0.0\)"):
        gm.PredictEnergy(0.0)


def test_a_velocity_is_finite_at_both_ends_of_every_process(x64):
    """At t = 0 the clean datum is x itself, whatever the network says; at the end of Rectified x - v."""
    for process in (*PROCESSES, gm.Brownian(1.5), gm.Rectified()):
        if float(process.sigma(0.0)) == 0.0:
            found = gm.PredictVelocity().denoise(process, lambda x, t: jnp.cos(x), X_0, 0.0)
            np.testing.assert_allclose(found, X_0, rtol=1e-5)
    found = gm.PredictVelocity().denoise(gm.Rectified(), lambda x, t: jnp.cos(x), X_0, 1.0)
    np.testing.assert_allclose(found, X_0 - jnp.cos(X_0), rtol=1e-6)
