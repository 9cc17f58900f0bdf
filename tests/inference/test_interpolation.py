import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.inference.interpolation import Geometric, Interpolation


class Squared(Interpolation):
    """Tempering that is slow at first."""

    def log_weight(self, log_ratio, beta):
        return beta**2 * log_ratio


def test_increments_are_differences_and_geometric_models_are_products(x64):
    ratio = jnp.array([1.0, -2.0])
    np.testing.assert_allclose(Squared().increment(ratio, 0.5, 1.0), 0.75 * ratio)
    np.testing.assert_allclose(Geometric().increment(ratio, 0.5, 0.75), 0.25 * ratio)
    path = gm.temper(gm.energy(lambda x: x**4, x=gm.Real()), gm.joint(x=dist.Normal(0, 1)))
    exact = 0.3 * -(0.5**4) + 0.7 * (-0.125 - 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(gm.compile(path.at(0.3)).log_density({"x": 0.5}), exact, rtol=1e-12)
    assert path.at(1.0) is path.target
    assert path.at(0) is path.reference


def test_an_interpolation_of_ones_own_serves_every_sampler():
    target = gm.energy(lambda x: 2.0 * (x - 2.0) ** 2, x=gm.Real())
    path = gm.temper(target, gm.joint(x=dist.Normal(0.0, 1.0)), Squared())
    found = gm.log_z(path, [gm.SMC(gm.MALA()), gm.AIS(gm.MALA())])
    assert found.status == "ok"
    assert abs(found.log_z - 0.5 * np.log(2 * np.pi * 0.25)) < 4.5 * found.standard_error


@pytest.mark.parametrize("beta", [-0.1, 1.2, True, "half"])
def test_betas_outside_are_refused(beta):
    path = gm.temper(gm.energy(lambda x: x**4, x=gm.Real()), gm.joint(x=dist.Normal(0, 1)))
    with pytest.raises(gm.SpecError, match="from 0"):
        path.at(beta)
