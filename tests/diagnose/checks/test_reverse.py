"""Draws of ways back from noise with too few steps and with enough."""

import equinox as eqx
import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

NORMAL = gm.joint(x=dist.Normal(1.0, 0.5))
CLOUD = np.random.default_rng(0).gamma(2.0, size=(300, 2))


def stein(family, sampler, draws=2000):
    return gm.check(gm.sample(family, sampler, draws=draws, progress=False), family)["Stein identity"]


@pytest.mark.parametrize(
    ("sampler", "status"),
    [
        (gm.ReverseSDE(steps=2), "suspect"),
        (gm.ReverseSDE(steps=5), "suspect"),
        (gm.ReverseODE(steps=2), "suspect"),
        (gm.ReverseODE(gm.DPMSolver(), steps=2), "suspect"),
        (gm.ReverseSDE(steps=300), "ok"),
        (gm.ReverseODE(steps=100), "ok"),
    ],
)
def test_steps_that_are_too_few_are_told(sampler, status):
    assert stein(gm.noise(NORMAL, gm.VP()), sampler).status == status


@pytest.mark.parametrize(("steps", "status"), [(2, "suspect"), (200, "ok")])
def test_a_data_set_is_judged_with_noise_added(steps, status):
    assert stein(gm.noise(CLOUD, gm.VP()), gm.ReverseSDE(steps=steps)).status == status


@pytest.mark.parametrize("process", [gm.VE(), gm.Brownian(3.0), gm.EDM()])
def test_exact_draws_with_other_processes_are_ok(process):
    family = gm.noise(CLOUD, process)
    rows = np.random.default_rng(1).integers(len(CLOUD), size=(1, 2000))
    from gmdsl.diagnose.checks.reverse import reverse_stein

    assert reverse_stein({"posterior": _group(CLOUD[rows])}, family).status == "ok"
    assert reverse_stein({"posterior": _group(1.3 * CLOUD[rows])}, family).status == "suspect"


def _group(x):
    import xarray

    return xarray.Dataset({"x": (("chain", "draw", "x_dim_0"), x)})


def test_a_learned_score_is_not_judged():
    class Net(eqx.Module):
        weight: jax.Array

        def __call__(self, x, t):
            return self.weight * x

    family = gm.score_model(gm.VP(), Net(jax.numpy.zeros(2)), x=gm.Real(2))
    found = stein(family, gm.ReverseSDE(steps=5), draws=50)
    assert (found.status, found.evidence) == ("note", "not examined: the score is learned")
