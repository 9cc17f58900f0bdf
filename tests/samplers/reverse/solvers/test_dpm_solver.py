import itertools

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

from .orders import log_snr_grid, order


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(5.0)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("width", [0.0, 0.4])
@pytest.mark.parametrize("stated", [2, 3])
def test_the_error_falls_with_the_stated_order(process, width, stated, x64):
    """On a grid of equal steps in log(alpha / sigma), from t_max to where little noise is left."""
    found, errors = order(process, gm.DPMSolver(stated, width), log_snr_grid(process), (80, 160))
    assert found == pytest.approx(stated, abs=0.2)
    assert errors[-1] < 1e-3


def test_the_flow_of_one_datum_is_exact_in_any_number_of_steps(x64):
    """The denoiser is then constant, and the linear part is solved exactly."""
    flat, x = gm.noise(np.array([[2.0]]), gm.VP()).flat, jnp.array([0.7])
    process = flat.process
    times, at = jnp.array([1.0, 0.6, 0.5, 0.1]), (x, gm.DPMSolver(width=0.0).init(flat, x))
    for t, s in itertools.pairwise(times):
        at = gm.DPMSolver(width=0.0).step(flat, at[0], t, s, at[1])
    exact = 2.0 * process.alpha(0.1) + process.sigma(0.1) / process.sigma(1.0) * (x - 2.0 * process.alpha(1.0))
    np.testing.assert_allclose(at[0], exact, rtol=1e-9)


def test_without_noise_at_the_end_it_ends_at_the_denoised_point(x64):
    flat, x = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP()).flat, jnp.array([0.7])
    solver = gm.DPMSolver(width=0.0)
    for memory in (solver.init(flat, x), solver.step(flat, x, 0.4, 0.3, solver.init(flat, x))[1]):
        found, _ = solver.step(flat, x, 0.3, 0.0, memory)
        np.testing.assert_allclose(found, flat.denoise(x, 0.3), rtol=1e-9)


def test_the_first_step_has_no_slope(x64):
    """It is then DDIM: x_s = alpha_s D + sigma_s eps."""
    flat, x = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP()).flat, jnp.array([0.7])
    process, denoised = flat.process, flat.denoise(x, 0.8)
    noise = (x - process.alpha(0.8) * denoised) / process.sigma(0.8)
    found, memory = gm.DPMSolver(width=0.0).step(flat, x, 0.8, 0.6, gm.DPMSolver(width=0.0).init(flat, x))
    np.testing.assert_allclose(found, process.alpha(0.6) * denoised + process.sigma(0.6) * noise, rtol=1e-9)
    np.testing.assert_allclose(memory.values[0], denoised, rtol=1e-12)


def test_few_steps_are_enough_for_a_picture():
    """Twenty steps land within 0.1 of where 500 steps of Heun land, for data with fine structure."""
    data = np.array([[-1.0, 0.0], [1.0, 0.5]]) + 0.1 * np.random.default_rng(0).normal(size=(100, 1, 2))
    family = gm.noise(data.reshape(-1, 2), gm.VP())
    few, many = (
        gm.sample(family, generator, draws=200, seed=1, progress=False)["posterior"]["x"].values[0]
        for generator in (gm.ReverseODE(gm.DPMSolver(), steps=20), gm.ReverseODE(gm.Heun(), steps=500))
    )
    assert np.median(np.linalg.norm(few - many, axis=-1)) < 0.1
