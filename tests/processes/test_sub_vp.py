import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def test_drift_and_diffusion_are_those_of_the_source(x64):
    """f = -beta / 2 and g^2 = beta (1 - exp(-2 int beta)), Song et al. equation 13."""
    process = gm.SubVP(0.2, 12.0)
    for t in (1e-3, 0.1, 0.5, 1.0):
        beta, total = 0.2 + 11.8 * t, 0.2 * t + 11.8 * t**2 / 2
        np.testing.assert_allclose(process.drift(t), -beta / 2, rtol=1e-9)
        np.testing.assert_allclose(process.diffusion(t) ** 2, beta * -np.expm1(-2 * total), rtol=1e-9)


def test_the_noise_is_one_less_the_squared_signal_and_below_that_of_vp(x64):
    process, t = gm.SubVP(), np.linspace(0.01, 1.0, 7)
    np.testing.assert_allclose(process.sigma(t), 1.0 - process.alpha(t) ** 2, rtol=1e-12)
    np.testing.assert_allclose(process.alpha(t), gm.VP().alpha(t), rtol=1e-14)
    assert np.all(np.asarray(process.sigma(t)) < np.asarray(gm.VP().sigma(t)))
    assert float(process.prior_scale) == 1.0


def test_small_noise_keeps_its_digits_in_single_precision():
    np.testing.assert_allclose(gm.SubVP().sigma(jnp.float32(1e-5)), 1.000995e-6, rtol=1e-5)


def test_the_equation_solved_with_small_steps_has_these_moments():
    """Euler's method with 1000 steps from x_0 = 1.3 on 20,000 paths; |z| < 4.5 beside 1 % for the steps."""
    process, n, steps = gm.SubVP(), 20_000, 1000

    def step(k, at):
        x, key = at
        key, key_noise = jax.random.split(key)
        t, delta = k * 0.4 / steps, 0.4 / steps
        noise = jnp.sqrt(delta) * jax.random.normal(key_noise, x.shape)
        return x + process.drift(t) * x * delta + process.diffusion(t) * noise, key

    x, _ = jax.jit(lambda: jax.lax.fori_loop(0, steps, step, (jnp.full(n, 1.3), jax.random.key(0))))()
    mean, sd = 1.3 * float(process.alpha(0.4)), float(process.sigma(0.4))
    assert abs(float(x.mean()) - mean) < 4.5 * sd / np.sqrt(n) + 0.01 * mean
    assert abs(float(x.std()) / sd - 1.0) < 4.5 / np.sqrt(2 * n) + 0.01


def test_every_way_back_gives_the_law_of_the_data():
    """N(1, 0.5^2): mean and standard deviation of 4000 draws, |z| < 4.5 beside 1 % for the steps."""
    family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.SubVP())
    ways = (
        gm.ReverseODE(gm.Heun(), steps=60, power=2.0),
        gm.ReverseODE(gm.DPMSolver(), steps=60),
        gm.ReverseSDE(steps=500),
        gm.DDPM(steps=500),
    )
    for way in ways:
        x = gm.sample(family, way, draws=4000, progress=False)["posterior"]["x"].values.ravel()
        assert abs(x.mean() - 1.0) < 4.5 * 0.5 / np.sqrt(4000) + 0.005, way
        assert abs(x.std() / 0.5 - 1.0) < 4.5 / np.sqrt(8000) + 0.01, way


@pytest.mark.parametrize(
    ("settings", "text"),
    [({"beta_min": 0.0}, r"SubVP\(beta_min=0.0\): a finite number above zero"), ({"t_max": -1}, r"SubVP\(t_max=-1\)")],
)
def test_a_bad_setting_is_named_with_its_value(settings, text):
    with pytest.raises(gm.SpecError, match=text):
        gm.SubVP(**settings)
