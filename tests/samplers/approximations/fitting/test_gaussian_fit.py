from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.samplers.approximations.fitting.gaussian_fit import GaussianFit
from gmdsl.samplers.approximations.fitting.gaussians import Diagonal

STD = np.array([0.5, 1.0, 3.0], np.float32)


class Round(GaussianFit):
    """A family of a third party: one width for all coordinates."""

    bias: ClassVar[str | None] = "draws of an approximation: a round Gaussian"

    @staticmethod
    def begin(dim):
        return jnp.zeros(dim), jnp.zeros(())

    @staticmethod
    def build(parameters, frame):
        shift, log_std = parameters
        return Diagonal(frame.center + frame.scale * shift, jnp.exp(log_std) * jnp.ones_like(shift))

    @staticmethod
    def spread(q):
        return {"width": q.std[0]}


def target():
    return gm.joint(x=dist.Normal(jnp.array([1.0, -2.0, 0.5]), STD).to_event(1))


def test_a_family_is_its_parameters_and_its_gaussian():
    """KL(q | p) of a round q is least where 1 / width^2 is the mean of the precisions."""
    tree = gm.sample(target(), Round(estimate=50), draws=100, progress=False)
    found = tree["approximation"]
    assert (np.abs(found["mean"].values - [1.0, -2.0, 0.5]) < 0.1 * STD).all()
    np.testing.assert_allclose(found["width"], np.mean(STD**-2.0) ** -0.5, rtol=0.01)


def test_what_is_fitted_is_fitted_once():
    fit = Round(updates=50)
    flat = gm.compile(target()).target
    first = fit.prepare(jax.random.key(0), flat, print)
    assert first.generator.prepare(jax.random.key(1), flat, print).generator is first.generator
