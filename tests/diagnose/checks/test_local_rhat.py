"""Chains of one law pass at the stated rate, and a mode that some chains never see is told."""

import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import gmdsl as gm
from gmdsl.diagnose.checks.local_rhat import autocorrelation_time, local_rhat


def group(**variables):
    return xarray.DataTree(
        xarray.Dataset(
            {n: (("chain", "draw", *(f"{n}_{i}" for i in range(v.ndim - 2))), v) for n, v in variables.items()}
        )
    )


def walks(seed, shape, rho):
    """Stationary normal chains with autocorrelation rho."""
    rng = np.random.default_rng(seed)
    x = np.empty(shape)
    x[:, 0] = rng.normal(size=(shape[0], *shape[2:]))
    for k in range(1, shape[1]):
        x[:, k] = rho * x[:, k - 1] + np.sqrt(1.0 - rho**2) * rng.normal(size=(shape[0], *shape[2:]))
    return x


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.7, 0.95])
@pytest.mark.parametrize("tail", [lambda x: x, lambda x: np.sinh(3.0 * x), np.exp])
def test_chains_of_one_law_pass(rho, tail):
    """30 runs of 20 elements, each at 1e-6 / 20: a false alarm of the tests has a chance of 4e-4."""
    for seed in range(30):
        assert local_rhat(group(x=tail(walks(seed, (4, 1000, 20), rho)))).status == "ok"


def test_a_mode_of_five_percent_in_one_chain_is_suspect():
    """R-hat of all draws and of their distances stays below 1.01; the largest shares by chance are 1.5 %."""
    x = walks(0, (4, 4000, 3), 0.3)
    away = np.random.default_rng(1).uniform(size=4000) < 0.05
    x[3, away, 1] -= 9.0
    found = local_rhat(group(a=x[..., 0], x=x))
    assert found.status == "suspect"
    assert found.evidence.startswith("x[1] is below -")
    assert found.evidence.count("%") == 4


def test_the_chains_that_never_saw_a_mode_are_told_of_a_run():
    """Each chain keeps to the modes that its warm-up saw. Shares without autocorrelation would differ by 0.3 %."""
    wells = gm.energy(
        lambda x: (
            -jnp.logaddexp(jnp.log(0.05 / 0.2) - 0.5 * ((x + 6.0) / 0.2) ** 2, jnp.log(0.95) - 0.5 * (x - 3.0) ** 2)
        ),
        x=gm.Real(),
    )
    tree = gm.sample(wells, gm.MALA(), init={"x": np.float32([3.0, 2.5, 3.3, -6.0])}, draws=2000, progress=False)
    x = tree["posterior"]["x"].values.copy()
    x[3] = np.where(np.random.default_rng(0).uniform(size=2000) < 0.04, x[3], x[2])
    tree["posterior"]["x"].values[:] = x
    report = gm.check(tree, wells)
    assert report["local R-hat"].status == "suspect"
    assert report["R-hat"].status != "suspect"
    assert report.status == "suspect"


def test_a_region_that_is_visited_seldom_and_for_long_is_not_blamed():
    """Ten visits of a hundred draws each may all fall into one chain."""
    x = walks(3, (4, 2000), 0.3)
    x[1, 500:620] += 8.0
    assert local_rhat(group(x=x)).status == "ok"


def test_short_runs_and_single_chains_are_not_examined():
    assert local_rhat(group(x=walks(0, (4, 50), 0.0))) is None
    assert local_rhat(group(x=walks(0, (1, 500), 0.0))) is None


def test_discrete_draws_with_ties_are_compared():
    rng = np.random.default_rng(0)
    same = rng.integers(0, 3, size=(4, 1000, 2))
    assert local_rhat(group(n=same)).status == "ok"
    same[2, :, 1] = rng.choice(3, size=1000, p=[0.5, 0.3, 0.2])
    assert local_rhat(group(n=same)).status == "suspect"


def test_autocorrelation_times_are_those_of_known_chains():
    """An autoregression has (1 + rho) / (1 - rho); 16 chains of 5000 draws give it within 10 %."""
    for rho in (0.0, 0.5, 0.8):
        found = autocorrelation_time(walks(1, (16, 5000), rho))
        assert found == pytest.approx((1.0 + rho) / (1.0 - rho), rel=0.1)
    assert autocorrelation_time(np.ones((4, 100))) == 1.0
