import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def test_the_density_between_is_the_power_mean(x64):
    ratio, beta = jnp.array([-2.0, 0.5, 3.0]), jnp.asarray(0.3)
    for q in (0.0, 0.5, 0.9):
        mean = (0.7 + 0.3 * np.exp(np.asarray(ratio)) ** (1 - q)) ** (1 / (1 - q))
        np.testing.assert_allclose(gm.QPath(q).log_weight(ratio, beta), np.log(mean), rtol=1e-12)
        np.testing.assert_allclose(gm.QPath(q).log_weight(ratio, jnp.zeros(())), 0.0, atol=1e-14)
        np.testing.assert_allclose(gm.QPath(q).log_weight(ratio, jnp.ones(())), ratio, rtol=1e-12)
    np.testing.assert_allclose(gm.QPath(1 - 1e-6).log_weight(ratio, beta), beta * ratio, rtol=1e-5)


@pytest.mark.parametrize(
    "sampler", [gm.SMC(gm.MALA()), gm.AIS(gm.MALA()), gm.ParallelTempering(gm.MALA(), temperatures=6)]
)
def test_every_sampler_of_paths_walks_it(sampler):
    target = gm.energy(lambda x: 2.0 * (x - 2.0) ** 2, x=gm.Real())
    path = gm.temper(target, gm.joint(x=dist.Normal(0.0, 1.0)), gm.QPath(0.5))
    found = gm.log_z(path, sampler, draws=1000)
    assert abs(found.log_z - 0.5 * np.log(2 * np.pi * 0.25)) < 4.5 * found.standard_error < 0.6


def test_it_is_no_model_and_needs_an_order_below_one():
    path = gm.temper(gm.energy(lambda x: x**2, x=gm.Real()), gm.joint(x=dist.Normal(0, 1)), gm.QPath())
    with pytest.raises(gm.SpecError, match="not declared as models"):
        path.at(0.5)
    with pytest.raises(gm.SpecError, match="from 0 to below 1"):
        gm.QPath(1.0)
    with pytest.raises(gm.SpecError, match="densities between two models"):
        gm.temper(path.target, path.reference, 0.5)
