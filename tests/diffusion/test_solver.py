import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diffusion.solver import Solver


class Midpoint(Solver):
    """Order two: the velocity in the middle of the step."""

    def step(self, family, x, t, s, memory):
        middle = x - 0.5 * (t - s) * family.velocity(x, t)
        return x - (t - s) * family.velocity(middle, 0.5 * (t + s)), memory


class Counted(Solver):
    """Counts its steps in its memory, and gives up moving."""

    def init(self, family, x):
        return jnp.zeros((), jnp.int32)

    def step(self, family, x, t, s, memory):
        return jnp.full_like(x, memory + 1), memory + 1


def family():
    return gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP())


def test_one_method_makes_a_solver_of_its_order(x64):
    """The flow of a Gaussian scales: x_0 = m + (x_T - alpha m) sd(0) / sd(T)."""
    flat, x = family().flat, jnp.array([0.7])
    process = flat.process
    alpha, sigma = process.alpha(1.0), process.sigma(1.0)
    exact = 1.0 + (0.7 - alpha) * 0.5 / jnp.sqrt(alpha**2 * 0.25 + sigma**2)
    gaps = []
    for steps in (200, 400):
        times = jnp.linspace(1.0, 0.0, steps + 1)
        at = jax.lax.fori_loop(0, steps, lambda k, x, t=times: Midpoint().step(flat, x, t[k], t[k + 1], ())[0], x)
        gaps.append(abs(float(at[0] - exact)))
    assert np.log2(gaps[0] / gaps[1]) == pytest.approx(2.0, abs=0.15)


def test_memory_is_carried_from_step_to_step():
    tree = gm.sample(family(), gm.ReverseODE(Counted(), steps=17), draws=3, progress=False)
    np.testing.assert_array_equal(tree["posterior"]["x"].values, np.full((1, 3), 17.0))


def test_without_memory_there_is_nothing_to_start_with():
    assert Midpoint().init(family().flat, jnp.zeros(1)) == ()


def test_without_step_it_cannot_be_made():
    class Empty(Solver):
        pass

    with pytest.raises(TypeError, match="step"):
        Empty()
