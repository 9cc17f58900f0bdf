import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

EXACT = 0.5 * np.log(2 * np.pi * 0.25)


@pytest.fixture(scope="module")
def path():
    """N(2, 1/4) without its constant, from N(0, 1): log Z = log sqrt(2 pi / 4)."""
    return gm.temper(gm.energy(lambda x: 2.0 * (x - 2.0) ** 2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 1.0)))


@pytest.mark.parametrize(
    "sampler",
    [
        gm.SMC(gm.MALA()),
        gm.SMC(gm.HMC(steps=3), temperatures=10, threshold=0.5),
        gm.SMC(gm.RandomWalk(), temperatures=gm.adapt.EqualRejection(0.2), resampling="residual"),
        gm.SMC(gm.MALA(), temperatures=(0.0, 0.1, 0.4, 1.0), resampling="multinomial", threshold=1.0),
        gm.SMC(gm.Slice(), resampling="stratified", islands=20),
        gm.SMC(gm.HMC(steps=3), particles=1200, waste_free=True),
    ],
)
def test_log_z_of_a_gaussian(path, sampler):
    found = gm.log_z(path, sampler, seed=1)
    assert found.status == "ok"
    assert found.standard_error < 0.1
    assert abs(found.log_z - EXACT) < 4.5 * found.standard_error
    assert found.curve["betas"][0] == 0.0
    assert found.curve["betas"][-1] == 1.0
    np.testing.assert_allclose(found.curve["log_z"][[0, -1]], [0.0, found.log_z], atol=1e-4)


@pytest.mark.parametrize("waste_free", [False, True])
def test_two_standard_errors_cover_over_forty_seeds(path, waste_free):
    """At a coverage of 0.95, 31 or fewer of 40 have a chance of 1e-4."""
    sampler = gm.SMC(gm.MALA(), particles=240, steps=2, waste_free=waste_free)
    found = [gm.log_z(path, sampler, seed=seed) for seed in range(40)]
    gaps = np.array([one.log_z - EXACT for one in found])
    assert sum(abs(gap) < 2 * one.standard_error for gap, one in zip(gaps, found, strict=True)) > 31
    assert abs(gaps.mean()) < 4.5 * gaps.std() / np.sqrt(40)


def test_draws_have_the_moments_and_weights_stay_apart(path):
    tree = gm.sample(path, gm.SMC(gm.HMC(steps=5), particles=4000))
    x = tree["posterior"]["x"].values
    assert abs(x.mean() - 2.0) < 4.5 * 0.5 / np.sqrt(1500)
    assert abs(x.std() - 0.5) < 0.06
    assert tree["particles"]["log_weight"].shape == tree["particles"]["x"].shape == (1, 4000)
    assert "log_weight" not in tree["posterior"]


def test_scales_are_found_by_the_population():
    """Scales of 0.01 and 100 need no metric from the user; log Z is that of two Gaussians."""
    target = gm.energy(lambda x: 0.5 * jnp.sum((x / jnp.array([0.01, 100.0])) ** 2), x=gm.Real(2))
    reference = gm.joint(x=dist.Normal(jnp.zeros(2), jnp.array([1.0, 150.0])).to_event(1))
    found = gm.log_z(gm.temper(target, reference), gm.SMC(gm.HMC(steps=4)))
    assert found.standard_error < 0.2
    assert abs(found.log_z - np.log(2 * np.pi)) < 4.5 * found.standard_error


def test_the_double_well_keeps_the_shares_of_its_wells():
    """-x^4 + 6 x^2 + x / 2: log Z = 9.374541, and 0.155693 of the mass below zero (quadrature)."""
    well = gm.energy(lambda x: x**4 - 6.0 * x**2 - 0.5 * x, x=gm.Real())
    path = gm.temper(well, gm.joint(x=dist.Normal(0.0, 1.5)))
    found = gm.log_z(path, gm.SMC(gm.HMC(steps=4), particles=4000))
    assert abs(found.log_z - 9.374541173869195) < 4.5 * found.standard_error < 0.2
    x = gm.sample(path, gm.SMC(gm.HMC(steps=4), particles=4000))["posterior"]["x"].values
    assert abs((x < 0).mean() - 0.15569290378886083) < 4.5 * 0.36 / np.sqrt(1000)


def test_a_reference_that_misses_the_target_is_not_ok():
    far = gm.energy(lambda x: 0.5 * jnp.sum((x - 30.0) ** 2) / 1e-4, x=gm.Real(3))
    path = gm.temper(far, gm.joint(x=dist.Normal(0.0, 1.0).expand([3]).to_event(1)))
    found = gm.log_z(path, gm.SMC(gm.RandomWalk(), temperatures=2, steps=1))
    assert found.status != "ok"


def test_settings_out_of_range_are_refused():
    with pytest.raises(gm.SpecError, match="Take particles=1010"):
        gm.SMC(gm.MALA(), particles=1001)
    with pytest.raises(gm.SpecError, match="waste|steps \\+ 1"):
        gm.SMC(gm.MALA(), particles=1000, steps=2, waste_free=True)
    with pytest.raises(gm.SpecError, match="take one of systematic"):
        gm.SMC(gm.MALA(), resampling="best")
    with pytest.raises(gm.SpecError, match="Take an exact kernel"):
        gm.SMC(gm.Langevin(0.1))
    with pytest.raises(gm.SpecError, match="a number of steps, betas"):
        gm.SMC(gm.MALA(), temperatures="many")
    with pytest.raises(gm.SpecError, match="moves real numbers only"):
        gm.sample(gm.temper(gm.energy(lambda s: s.sum(), s=gm.Binary(2)), gm.joint(s=dist.Bernoulli(jnp.full(2, 0.5)))),
                  gm.SMC(gm.MALA()))  # fmt: skip
