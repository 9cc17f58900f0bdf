"""Draws of ways back from noise with too few steps and with enough."""

import equinox as eqx
import jax
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import gmdsl as gm
from gmdsl.diagnose.checks.reverse import reverse_checks

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
        (gm.ReverseODE(gm.DPMSolver(width=0.0), steps=2), "suspect"),
        (gm.ReverseSDE(steps=300), "ok"),
        (gm.ReverseODE(steps=100), "ok"),
        (gm.ReverseODE(gm.DPMSolver(), steps=2), "ok"),  # exact for a Gaussian, whose width it knows
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
    assert [found.status for found in reverse_checks(_tree(CLOUD[rows]), family)] == ["ok", "ok"]
    wider = reverse_checks(_tree(1.3 * CLOUD[rows]), family)
    assert [found.status for found in wider] == ["suspect", "suspect"]


def test_a_law_whose_errors_cancel_in_steins_identity_is_told():
    parts = [gm.joint(x=dist.Normal(mean, 0.5)) for mean in (-2.0, 2.0)]
    family = gm.noise(gm.mixture([0.3, 0.7], *parts), gm.VP())
    x = np.random.default_rng(0).choice([-2.0, 2.0], size=(1, 4000), p=[0.45, 0.55])
    x += 0.5 * np.random.default_rng(1).normal(size=x.shape)  # the weights are wrong, and the score does not see them
    stein, law = reverse_checks(_tree(x), family)
    assert (stein.status, law.status) == ("ok", "suspect")
    gap = float(law.evidence.split()[4])
    assert abs(gap - 0.15) < 0.03, law.evidence  # 0.45 for 0.3; 4000 draws tell it to 0.01


def test_exact_draws_are_rarely_called_suspect():
    family = gm.noise(gm.joint(x=dist.MultivariateNormal(np.zeros(3), np.diag([1.0, 4.0, 9.0]))), gm.VP())
    rng, called = np.random.default_rng(2), 0
    for _ in range(40):
        x = rng.normal(size=(1, 1000, 3)) * np.array([1.0, 2.0, 3.0])
        called += reverse_checks(_tree(x), family)[1].status != "ok"
    assert called <= 1  # at a rate of 0.002, two or more of forty in 0.3 % of such tests


@pytest.mark.parametrize(("steps", "status"), [(4, "suspect"), (40, "ok")])
def test_steps_of_a_solver_of_second_order(steps, status):
    parts = [gm.joint(x=dist.Normal(mean, 0.5)) for mean in (-2.0, 2.0)]
    family = gm.noise(gm.mixture([0.3, 0.7], *parts), gm.VP())
    tree = gm.sample(family, gm.ReverseODE(gm.DPMSolver(), steps=steps), draws=4000, progress=False)
    assert gm.check(tree, family)["exact draws"].status == status


def _tree(x):
    dims = ("chain", "draw", "x_dim_0")[: x.ndim]
    return xarray.DataTree.from_dict({"posterior": xarray.Dataset({"x": (dims, x)})})


def test_a_learned_score_is_not_judged():
    class Net(eqx.Module):
        weight: jax.Array

        def __call__(self, x, t):
            return self.weight * x

    family = gm.score_model(gm.VP(), Net(jax.numpy.zeros(2)), x=gm.Real(2))
    found = stein(family, gm.ReverseSDE(steps=5), draws=50)
    assert (found.status, found.evidence) == ("note", "not examined: the score is learned")


def test_draws_that_have_collapsed_to_a_point_of_a_narrow_law_are_told():
    family = gm.noise(gm.joint(x=dist.Normal(1.0, 1e-3)), gm.VP())
    rng = np.random.default_rng(4)
    right, narrow = 1.0 + 1e-3 * rng.normal(size=(1, 2000)), 1.0 + 1e-5 * rng.normal(size=(1, 2000))
    assert [reverse_checks(_tree(x), family)[1].status for x in (right, narrow)] == ["ok", "suspect"]
