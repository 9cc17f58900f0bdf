from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
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


def test_the_mean_of_a_gaussian_is_right_to_order_two(x64):
    """The noise is the same for two starts, and the equation linear: their gap follows the drift alone.

    For N(m, v) the drift of x - m is 2 rho / (rho^2 + v) per unit of noise, so the gap scales as rho^2 + v. VE keeps
    some noise at the end, 0.3 here, so that no step goes to none.
    """
    process = gm.VE(0.3, 5.0)
    flat = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), process).flat
    errors = []
    for steps in (40, 80):

        def end(at, steps=steps):
            return gm.SDEDPMSolver(steps).draw(
                jax.random.key(0), Started(flat.process, flat.denoiser, flat.layout, None, at)
            )[0]

        ends = jax.jit(jax.vmap(end))(jnp.array([[0.0], [1.0]]))
        errors.append(abs(float(ends[1, 0] - ends[0, 0]) - (0.3**2 + 0.25) / (5.0**2 + 0.25)))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.3)


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
