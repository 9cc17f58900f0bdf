import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.integrands import Coordinates, Integrands
from gmdsl.core.pytrees.function import Function

LINE = Coordinates(np.zeros(1), np.eye(1), np.full(1, -3.0), np.full(1, 3.0), np.asarray(0.0))


def test_sizes_are_logarithms_far_beyond_the_range_of_doubles():
    with jax.enable_x64(True):
        target = FlatTarget.of(gm.joint(x=dist.StudentT(3.0, 0.0, 1.0)))
        both = Integrands(target, Function(lambda v: jnp.stack([v["x"] ** 2, -v["x"]])))
        u = np.array([[0.7], [300.0]])
        logs, signs = both.values(LINE, u)
    x = np.sinh(0.7)
    near = stats.t(3).logpdf(x) + np.log(np.cosh(0.7)) + np.array([0.0, 2 * np.log(x), np.log(x)])
    np.testing.assert_allclose(logs[0], near, rtol=1e-12)
    np.testing.assert_allclose(logs[1, 1] - logs[1, 0], 2 * (300 - np.log(2)), rtol=1e-12)
    assert logs[1, 0] < -890.0
    np.testing.assert_array_equal(signs, [[1, 1, -1], [1, 1, -1]])


def test_what_is_no_number_counts_as_nothing_and_is_told():
    with jax.enable_x64(True):
        target = FlatTarget.of(gm.joint(x=dist.Normal(0.0, 1.0)))
        root = Integrands(target, Function(lambda v: jnp.sqrt(v["x"])))
        logs, valid = root.look(LINE, np.array([[-1.0], [1.0]]))
    np.testing.assert_array_equal(valid, [[True, False], [True, True]])
    assert logs[0, 1] == -np.inf
    assert np.isfinite(logs[0, 0])
