import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats

import gmdsl as gm
from gmdsl.core.random.normal import standard_normal
from gmdsl.diffusion.flat_family import FlatFamily


def mixture(process):
    parts = dist.Normal(jnp.array([-2.0, 1.0]), jnp.array([0.4, 0.8]))
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), parts))
    return gm.noise(model, process)


def test_one_step_and_the_first_of_many_are_those_of_ddpm(x64):
    """No past, no slope: the bridge with the denoised point."""
    flat, key = mixture(gm.VP()).flat, jax.random.key(2)
    found = gm.SDEDPMSolver(steps=1).draw(key, flat)[0]
    np.testing.assert_allclose(found, gm.DDPM(steps=1).draw(key, flat)[0], rtol=1e-9)


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(20.0)], ids=lambda p: type(p).__name__)
def test_draws_of_a_noised_mixture_have_its_law(process):
    """Kolmogorov-Smirnov distance of 20,000 draws in 60 steps: chance of 0.0163 is 1e-4, bias of the steps 0.01."""
    family = mixture(process)
    x = gm.sample(
        family, gm.SDEDPMSolver(60), draws=20_000, init=family.at(process.t_max), progress=False
    )["posterior"]["x"].values  # fmt: skip
    cdf = lambda x: 0.3 * stats.norm.cdf(x, -2.0, 0.4) + 0.7 * stats.norm.cdf(x, 1.0, 0.8)  # noqa: E731
    assert stats.kstest(x.ravel(), cdf).statistic < 0.0163 + 0.01


@pytest.mark.parametrize("steps", [1, 5, 40])
def test_the_mean_of_a_gaussian_is_exact_in_any_number_of_steps(steps, x64):
    """The noise is the same for two starts, and the equation linear: their gap follows the drift alone.

    For N(m, v) the drift of x - m is 2 rho / (rho^2 + v) per unit of noise, so the gap scales as rho^2 + v; the
    expected denoiser does not change on the way back, and extrapolating it makes no error.
    """
    flat = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VE(0.3, 5.0)).flat

    def end(at):
        return gm.SDEDPMSolver(steps).draw(
            jax.random.key(0), Started(flat.process, flat.denoiser, flat.layout, None, at)
        )[0]

    ends = jax.vmap(end)(jnp.array([[0.0], [1.0]]))
    np.testing.assert_allclose(ends[1, 0] - ends[0, 0], (0.3**2 + 0.25) / (5.0**2 + 0.25), rtol=1e-10)


def test_the_second_step_is_the_integral_of_the_line_through_two_denoised_points(x64):
    """Against SciPy's quadrature of the formula, with the same noise."""
    process, key, times = gm.VE(0.3, 5.0), jax.random.key(4), (1.0, 0.6, 0.0)
    flat = mixture(process).flat
    key_start, key_noise = jax.random.split(key)
    x, seen = flat.start(key_start), []
    for k, (t, s) in enumerate(itertools.pairwise(times)):
        now, then = (-float(jnp.log(process.sigma(time))) for time in (t, s))
        seen.append((now, float(flat.denoise(x, t)[0])))
        (old, before), (new, clean) = seen[0], seen[-1]
        slope = (clean - before) / (new - old) if k else 0.0
        push = integrate.quad(
            lambda u, at=(then, now, clean, slope): 2 * np.exp(-2 * (at[0] - u)) * (at[2] + at[3] * (u - at[1])),
            now,
            then,
        )[0]
        gone = np.exp(-2 * (then - now))
        noise = standard_normal(jax.random.fold_in(key_noise, k), x.shape, x.dtype)
        x = gone * x + push + process.sigma(s) * np.sqrt(1 - gone) * noise
    np.testing.assert_allclose(gm.SDEDPMSolver(2, grid=times).draw(key, flat)[0], x, rtol=1e-9)


class Started(FlatFamily):
    """A family whose way back starts from a given point."""

    at: Any = None

    def start(self, key):
        return self.at


def test_what_is_no_grid_is_named():
    with pytest.raises(gm.SpecError, match=r"SDEDPMSolver\(steps=0\)"):
        gm.SDEDPMSolver(steps=0)
    with pytest.raises(gm.SpecError, match=r"SDEDPMSolver\(grid='x'\)"):
        gm.SDEDPMSolver(grid="x")
