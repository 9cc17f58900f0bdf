import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.frame import find_region
from gmdsl.compiler.integrals.grids import integrate_box
from gmdsl.compiler.integrals.integrands import Integrands
from gmdsl.core.pytrees.function import Function


def found(model, function):
    with jax.enable_x64(True):
        both = Integrands(FlatTarget.of(model), Function(function))
        sums = integrate_box(both, find_region(both), 1e-10)
    return sums.value * np.exp(sums.top), sums.error * np.exp(sums.top)


def test_smooth_integrands_are_known_to_many_digits():
    model = gm.energy(lambda x: 0.5 * x @ x + 0.4 * x[0] * x[1], x=gm.Real(2))
    value, error = found(model, lambda v: v["x"][0] ** 2)
    assert value[0] == pytest.approx(2 * np.pi / np.sqrt(1 - 0.16), rel=1e-10)
    assert value[1] / value[0] == pytest.approx(1 / (1 - 0.16), rel=1e-10)
    assert (error < 1e-8).all()


@pytest.mark.parametrize("dim", [2, 3])
def test_a_slab_between_the_nodes_is_seen_by_the_lattice(dim):
    model = gm.joint(x=dist.Normal(0.0, 1.0).expand([dim]))
    value, error = found(model, lambda v: 1.0 * ((v["x"][0] > 0.5) & (v["x"][0] < 0.51)))
    exact = stats.norm.cdf(0.51) - stats.norm.cdf(0.5)
    assert abs(value[1] - exact) < 2 * error[1] < exact


def test_heavy_tails_of_independent_coordinates_lie_along_the_axes():
    value, error = found(gm.joint(x=dist.StudentT(2.5, 0.0, 1.0).expand([2])), lambda v: v["x"][0] ** 2)
    np.testing.assert_allclose(value[1], 5.0, rtol=1e-7)
    assert error[1] < 1e-6
