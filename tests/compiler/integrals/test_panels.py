import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.frame import find_region
from gmdsl.compiler.integrals.integrands import Integrands, NoIntegralError
from gmdsl.compiler.integrals.panels import GAUSS, KRONROD, NODES, integrate_line
from gmdsl.core.pytrees.function import Function

NORMAL = gm.joint(x=dist.Normal(0.0, 1.0))


def found(model, function=None):
    with jax.enable_x64(True):
        both = Integrands(FlatTarget.of(model), None if function is None else Function(function))
        sums = integrate_line(both, find_region(both), 1e-10)
    return sums.value * np.exp(sums.top), sums.error * np.exp(sums.top)


def test_the_rules_are_exact_for_polynomials():
    for degree in range(0, 32, 2):
        assert KRONROD @ NODES**degree == pytest.approx(2 / (degree + 1), rel=1e-13)
    for degree in range(0, 20, 2):
        assert GAUSS @ NODES**degree == pytest.approx(2 / (degree + 1), rel=1e-13)


@pytest.mark.parametrize("width", [0.5, 0.01, 1e-4])
def test_an_indicator_of_a_small_interval_is_found(width):
    value, error = found(NORMAL, lambda v: 1.0 * ((v["x"] > 0.5) & (v["x"] < 0.5 + width)))
    exact = stats.norm.cdf(0.5 + width) - stats.norm.cdf(0.5)
    assert abs(value[1] - exact) <= error[1] + 1e-14
    assert error[1] < 3e-6 * exact  # halvings end at a jump a few millionths wide, where depends on the first panels


def test_a_narrow_spike_of_the_density_is_found():
    spike = gm.energy(lambda x: jnp.where(jnp.abs(x - 0.3) < 0.01, 0.0, 50.0) + 0.0005 * x**2, x=gm.Real())
    value, error = found(spike)
    exact = 0.02 * np.exp(-0.0005 * 0.09)
    assert abs(value[0] - exact) < error[0] + 1e-8
    assert error[0] < 1e-9


def test_a_pole_that_has_an_integral_and_one_that_has_none():
    value, error = found(NORMAL, lambda v: jnp.abs(v["x"]) ** -0.5)
    assert abs(value[1] - 1.7200799746) < error[1] + 1e-9
    with pytest.raises(NoIntegralError, match="grows without end near a point"):
        found(NORMAL, lambda v: 1.0 / jnp.abs(v["x"]))


def test_noise_of_single_precision_ends_the_halving():
    value, error = found(gm.energy(lambda x: jnp.float32(0.5 * x**2).astype(float), x=gm.Real()))
    assert abs(value[0] - np.sqrt(2 * np.pi)) < 2 * error[0]
    assert 1e-10 < error[0] < 1e-5


@pytest.mark.parametrize("power", [0.5, 0.6, 0.7])
def test_the_error_beside_a_pole_covers_what_the_narrowest_panels_miss(power, x64):
    pole = gm.energy(lambda x: power * jnp.log(jnp.abs(x)), x=gm.Interval(-1.0, 1.0))
    found = gm.log_normalizer(pole)
    assert abs(found.log_z - np.log(2.0 / (1.0 - power))) < found.error
