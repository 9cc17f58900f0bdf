import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm

MEAN, SPREAD = 0.4, 0.5


def mixture():
    parts = dist.Normal(jnp.array([-2.0, 1.0]), jnp.array([0.4, 0.8]))
    return gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), parts))


def cdf(x):
    return 0.3 * stats.norm.cdf(x, -2.0, 0.4) + 0.7 * stats.norm.cdf(x, 1.0, 0.8)


@pytest.mark.parametrize(
    "process", [gm.VE(0.05, 20.0), gm.VP(), gm.EDM(20.0)], ids=lambda process: type(process).__name__
)
def test_draws_of_a_noised_mixture_have_its_law(process):
    """Kolmogorov-Smirnov distance of 20,000 draws: chance of 0.0163 is 1e-4, bias of the steps 0.015."""
    tree = gm.sample(gm.noise(mixture(), process), gm.AnnealedLangevin(), draws=20_000, progress=False)
    found = stats.kstest(tree["posterior"]["x"].values.ravel(), cdf).statistic
    assert found < 0.0163 + 0.015
    assert "finite size" in tree.attrs["bias"]


def test_fewer_steps_leave_the_shares_of_an_earlier_level():
    """In two steps a level a chain cannot follow the noise: far more than at a hundred steps is in the wrong mode."""
    family = gm.noise(mixture(), gm.VE(0.05, 20.0))
    tree = gm.sample(family, gm.AnnealedLangevin(steps=2), draws=5000, progress=False)
    assert stats.kstest(tree["posterior"]["x"].values.ravel(), cdf).statistic > 0.08


@pytest.mark.parametrize("process", [gm.VE(0.3, 5.0), gm.VP(t_max=0.8)], ids=lambda process: type(process).__name__)
def test_mean_and_variance_of_normal_data_are_those_of_the_linear_recursion(process):
    """One step is y - a (y - m) / 2 v + sqrt(a) z with v = s^2 + noise; |z| < 4.5 for both, chance 1e-5 each."""
    levels, steps, size, draws = 5, 3, 0.8, 40_000
    times = np.asarray(jax.vmap(process.time_at)(jnp.linspace(1.0, 0.0, levels)), float)
    noises = [float(process.sigma(t) / process.alpha(t)) ** 2 for t in times]
    mean, variance = 0.0, float(process.prior_scale) ** 2 / float(process.alpha(times[0])) ** 2
    for noise in noises:
        for _ in range(steps):
            kept = 1.0 - size * noise / (2.0 * (SPREAD**2 + noise))
            mean, variance = MEAN + kept * (mean - MEAN), kept**2 * variance + size * noise
    family = gm.noise(gm.joint(x=dist.Normal(MEAN, SPREAD)), process)
    sampler = gm.AnnealedLangevin(step_size=size, temperatures=levels, steps=steps)
    x = gm.sample(family, sampler, draws=draws, progress=False)["posterior"]["x"].values.astype(float)
    assert abs(x.mean() - mean) < 4.5 * np.sqrt(variance / draws)
    assert abs(x.var() / variance - 1.0) < 4.5 * np.sqrt(2.0 / draws)


def test_denoised_draws_are_the_expected_clean_data():
    """E[x | y] = y + noise times score: the same walks, shrunk towards the mean."""
    process = gm.VE(0.3, 5.0)
    family = gm.noise(gm.joint(x=dist.Normal(MEAN, SPREAD)), process)
    plain, clean = (
        gm.sample(family, gm.AnnealedLangevin(steps=5, denoised=denoised), draws=100, progress=False)
        for denoised in (False, True)
    )
    noise = float(process.sigma(process.t_min)) ** 2
    y = plain["posterior"]["x"].values
    exact = MEAN + (y - MEAN) * SPREAD**2 / (SPREAD**2 + noise)
    np.testing.assert_allclose(clean["posterior"]["x"].values, exact, rtol=2e-3)


def test_settings_out_of_range_are_named():
    with pytest.raises(gm.SpecError, match=r"AnnealedLangevin\(steps=0\)"):
        gm.AnnealedLangevin(steps=0)
    with pytest.raises(gm.SpecError, match=r"temperatures=1\)"):
        gm.AnnealedLangevin(temperatures=1)
    with pytest.raises(gm.SpecError, match="blow up"):
        gm.AnnealedLangevin(step_size=4.0)
    with pytest.raises(gm.SpecError, match="runs a noised family backwards"):
        gm.sample(mixture(), gm.AnnealedLangevin())
