import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def gaussian(scale=0.8, mean=1.0):
    """exp(-(x - m)^2 / 2 s^2), whose Z is s sqrt(2 pi), from N(0, 1)."""
    model = gm.energy(lambda x, m, s: 0.5 * ((x - m) / s) ** 2, x=gm.Real(), m=gm.data(mean), s=gm.data(scale))
    return gm.temper(model, gm.joint(x=dist.Normal(0.0, 1.0)))


def test_the_mean_weight_is_the_ratio_of_constants():
    """Twenty seeds: all |z| < 4.5, their root mean square in (0.5, 1.6): one false alarm in 2,000."""
    z = []
    for seed in range(20):
        found = gm.log_z(gaussian(), gm.ImportanceSampling(5000), seed=seed)
        assert found.status == "ok"
        assert found.particles == 5000
        np.testing.assert_allclose(found.curve["log_z"], [0.0, found.log_z], atol=1e-4)
        z.append((found.log_z - np.log(0.8 * np.sqrt(2 * np.pi))) / found.standard_error)
    assert np.abs(z).max() < 4.5
    assert 0.5 < np.sqrt(np.mean(np.square(z))) < 1.6


def test_the_effective_size_is_that_of_the_chi_square_divergence():
    """For N(0, 1) to N(m, s^2), 1 / (1 + chi^2) = s sqrt(2 - s^2) exp(-m^2 / (2 - s^2)), to 5 % with 200,000 draws."""
    found = gm.log_z(gaussian(), gm.ImportanceSampling(200_000))
    share = 0.8 * np.sqrt(2 - 0.64) * np.exp(-1.0 / (2 - 0.64))
    assert found.ess / 200_000 == pytest.approx(share, rel=0.05)


def test_resampled_draws_are_those_of_the_target():
    """Mean and variance of N(1, 0.8^2); |z| < 4 by the effective size, two numbers: one false alarm in 8,000 seeds."""
    tree = gm.sample(gaussian(), gm.ImportanceSampling(50_000))
    x, ess = tree["posterior"]["x"].values.ravel(), tree.attrs["weight_ess"]
    assert abs(x.mean() - 1.0) < 4 * 0.8 / np.sqrt(ess)
    assert abs(x.var() / 0.64 - 1.0) < 4 * np.sqrt(2 / ess)
    particles = tree["particles"]["x"].values.ravel()
    assert abs(particles.mean()) < 4 / np.sqrt(50_000)  # those are of the reference


def test_on_a_positive_variable_the_jacobian_cancels():
    """x^2 exp(-2 x) has the constant 2! / 2^3."""
    model = gm.energy(lambda x: 2.0 * x - 2.0 * jnp.log(x), x=gm.Positive())
    found = gm.log_z(gm.temper(model, gm.joint(x=dist.Exponential(1.0))), gm.ImportanceSampling(50_000), seed=1)
    assert abs(found.log_z - np.log(0.25)) < 4 * found.standard_error
    assert found.standard_error < 0.01


def test_a_reference_that_misses_the_target_is_told_of():
    """Seven standard deviations away: fewer than 5 % of the particles count."""
    found = gm.log_z(gaussian(0.3, 7.0), gm.ImportanceSampling(2000))
    assert found.status == "suspect"
    nowhere = gm.energy(lambda x: jnp.where(x > 100.0, 0.0, jnp.inf), x=gm.Real())
    found = gm.log_z(gm.temper(nowhere, gm.joint(x=dist.Normal(0.0, 1.0))), gm.ImportanceSampling(2000))
    assert found.status == "failed"


def test_it_stands_beside_annealing_in_a_table():
    both = gm.log_z(gaussian(), [gm.ImportanceSampling(20_000), gm.AIS(gm.MALA(), particles=1000, temperatures=20)])
    assert both.worst < 4.0
    assert "ImportanceSampling" in str(both)


@pytest.mark.parametrize("particles", [1, 0, 10.0])
def test_counts_are_checked(particles):
    with pytest.raises(gm.SpecError, match=r"ImportanceSampling\(particles=.*at least 2"):
        gm.ImportanceSampling(particles)
