import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

EXACT = 0.5 * np.log(2 * np.pi * 0.25)


@pytest.fixture(scope="module")
def path():
    return gm.temper(gm.energy(lambda x: 2.0 * (x - 2.0) ** 2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 1.0)))


@pytest.fixture(scope="module")
def target():
    return gm.joint(x=dist.Normal(2.0, 0.5))


def test_the_two_walks_hold_log_z_between_them(path, target):
    found = [
        gm.log_z(path, gm.AIS(gm.MALA(), particles=200, temperatures=10), end=target, seed=seed) for seed in range(40)
    ]
    assert sum(one.lower < EXACT < one.upper for one in found) > 31  # of 40 at 0.95, a chance of 1e-4
    gaps = np.array([one.log_z - EXACT for one in found])
    assert abs(gaps.mean()) < 4.5 * gaps.std() / np.sqrt(40) + 0.01
    many = gm.log_z(path, gm.AIS(gm.MALA(), particles=1000, temperatures=40), end=target)
    assert many.status == "ok", many.verdict
    assert many.upper - many.lower < 0.4


def test_the_mean_logarithm_is_below_from_one_end_and_above_from_the_other(path, target):
    """A few particles: E[log Z] is lower forwards than backwards, by more than four standard errors."""
    sampler = gm.AIS(gm.MALA(), particles=4, temperatures=5)
    found = [gm.log_z(path, sampler, end=target, seed=seed) for seed in range(60)]
    low = np.array([float(one.verdict.evidence.split()[1].rstrip(",")) for one in found])
    high = np.array([float(one.verdict.evidence.split()[3].rstrip(";")) for one in found])
    assert (high - low).mean() > 4.0 * (high - low).std() / np.sqrt(60)


def test_draws_of_a_run_and_arrays_serve_as_ends(path):
    tree = gm.sample(path.target, gm.HMC(), draws=500, progress=False)
    for end in (tree, {"x": np.random.default_rng(0).normal(2.0, 0.5, size=800)}):
        found = gm.log_z(path, gm.AIS(gm.MALA(), particles=400, temperatures=20), end=end)
        assert found.lower < EXACT < found.upper
        assert found.upper - found.lower < 0.6


def test_draws_of_the_lesser_of_two_modes_disagree():
    """The end misses 95 % of the mass, and the walk back from the rest finds too large a constant."""

    def energy(x):
        return -jnp.logaddexp(-3.0 - 0.5 * ((x - 5.0) / 0.3) ** 2, -0.5 * ((x + 5.0) / 0.3) ** 2)

    path = gm.temper(gm.energy(energy, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 5.0)))
    one = gm.joint(x=dist.Normal(5.0, 0.3))
    found = gm.log_z(path, gm.AIS(gm.MALA(), particles=2000, temperatures=60), end=one)
    assert found.status == "suspect"
    assert "disagree" in found.verdict.evidence
    assert found.standard_error > 0.2


def test_what_does_not_fit_is_refused(path, target):
    with pytest.raises(gm.SpecError, match=r"for gm\.AIS"):
        gm.log_z(path, gm.SMC(gm.MALA()), end=target)
    with pytest.raises(gm.SpecError, match="draws of x are missing"):
        gm.log_z(path, gm.AIS(gm.MALA()), end={"y": np.zeros(3)})
    with pytest.raises(gm.SpecError, match=r"x has shape \(30, 3\)|x has shape \(3, 4, 5\)"):
        gm.log_z(path, gm.AIS(gm.MALA()), end={"x": np.zeros((3, 4, 5))})
    with pytest.raises(gm.SpecError, match="NaN or infinite"):
        gm.log_z(path, gm.AIS(gm.MALA()), end={"x": np.array([0.0, np.nan])})
    with pytest.raises(gm.SpecError, match="can be drawn from"):
        gm.log_z(path, gm.AIS(gm.MALA()), end=path.target)
