import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diagnose.lint_rules.precision import precision, precision_at


@pytest.mark.parametrize(
    "energy",
    [
        lambda x: 1e8 + 0.5 * x @ x,  # eight digits are used up by the constant
        lambda x: jax.lax.optimization_barrier(1e8 + 0.5 * x @ x) - 1e8,  # fenced, or XLA may take both away
        lambda x: 0.5 * jnp.sum((x + 3e4) ** 2) - 3e4 * jnp.sum(x) - 9e8,  # large terms cancel
    ],
)
def test_digits_that_cancel_are_found(energy):
    found = precision(gm.energy(energy, x=gm.Real(2)))
    assert found.status == "suspect"


def test_a_large_log_density_alone_is_not_blamed():
    assert precision(gm.energy(lambda x: 1e4 + 0.5 * x @ x, x=gm.Real(2))).status == "ok"
    assert precision(gm.energy(lambda x: 1e6 * x @ x, x=gm.Real(2))).status == "ok"  # narrow, not cancelling


def test_in_double_precision_there_is_nothing_to_say(x64):
    assert precision(gm.energy(lambda x: 1e8 + 0.5 * x @ x, x=gm.Real(2))).status == "ok"


def test_a_run_in_too_few_digits_is_told_so_by_check():
    """A count of a million: the terms of its log-density are ten million, where single precision has steps of one."""
    model = gm.joint(rate=dist.Gamma(1.0, 1e-9), y=lambda rate: dist.Poisson(rate)).condition(y=10**6)
    tree = gm.sample(model, gm.NUTS(), chains=4, draws=500, warmup=500, seed=0, progress=False)
    found = gm.check(tree, model)["single precision"]
    assert found.status == "suspect"
    assert found.evidence.startswith("float32 is off by")
    assert "jax_enable_x64" in found.advice


def test_a_run_with_enough_digits_is_ok():
    model = gm.joint(rate=dist.Gamma(1.0, 1.0), y=lambda rate: dist.Poisson(rate)).condition(y=10)
    tree = gm.sample(model, gm.NUTS(), chains=4, draws=500, warmup=500, seed=0, progress=False)
    assert gm.check(tree, model)["single precision"].status == "ok"


def _normal(y):
    model = gm.joint(mu=dist.Normal(0.0, 5.0), y=lambda mu: dist.Normal(mu, 1.0).expand([20]))
    return model.condition(y=y)


@pytest.mark.parametrize("double", [False, True])
def test_draws_of_the_model_with_other_data_are_told_from_rounding(double):
    with jax.enable_x64(double):
        x = np.random.default_rng(0).normal(size=(64, 1)) * 0.25
        here, there = _normal(np.zeros(20)), _normal(np.full(20, 3.0))
        lp = -0.5 * 20.04 * x[:, 0] ** 2
        assert precision_at(here, x, lp).name == "single precision"
        assert precision_at(here, x, lp).status == "ok"
        found = precision_at(there, x, lp)
    assert (found.name, found.status) == ("same density", "suspect")
    assert "draws of another density" in found.evidence
    assert "conditioned on the same data" in found.advice
