import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.boxes import integrate_adaptively
from gmdsl.compiler.integrals.frame import find_region
from gmdsl.compiler.integrals.integrands import Integrands
from gmdsl.compiler.integrals.probes import probe
from gmdsl.core.pytrees.function import Function


@pytest.mark.parametrize("side", [0.01, 0.1])
def test_a_small_box_has_its_probability_and_an_error_that_covers(side):
    def inside(v):
        return 1.0 * jnp.all((v["x"] > jnp.array([0.5, -0.5])) & (v["x"] < jnp.array([0.5, -0.5]) + side))

    with jax.enable_x64(True):
        both = Integrands(FlatTarget.of(gm.joint(x=dist.Normal(0.0, 1.0).expand([2]))), Function(inside))
        region = find_region(both)
        sums = integrate_adaptively(both, region, probe(both, region), 1e-8)
    exact = np.prod(np.diff(stats.norm.cdf([[0.5, 0.5 + side], [-0.5, -0.5 + side]])))
    mean, error = sums.value[1] / sums.value[0], sums.error[1] / sums.value[0]
    assert abs(mean - exact) < error < 1e-3 * exact


def test_a_finite_pole_is_integrated_in_the_plane_and_in_space():
    for dim, power, exact in ((2, -0.5, np.sqrt(np.pi / 2)), (3, -1.0, 1.0)):
        with jax.enable_x64(True):
            model = gm.joint(x=dist.Normal(0.0, 1.0).expand([dim]))
            both = Integrands(FlatTarget.of(model), Function(lambda v, power=power: (v["x"] @ v["x"]) ** power))
            region = find_region(both)
            sums = integrate_adaptively(both, region, probe(both, region), 1e-5)
        mean, error = sums.value[1] / sums.value[0], sums.error[1] / sums.value[0]
        assert abs(mean - exact) < error < 1e-3
