import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals import integrands as integrands_module
from gmdsl.compiler.integrals.integrands import Coordinates, Integrands, count_same
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


def test_any_number_of_points_is_evaluated_by_one_program_in_few_calls(monkeypatch):
    calls, whole = [], integrands_module._evaluate
    monkeypatch.setattr(integrands_module, "_evaluate", lambda *a: calls.append(np.shape(a[-1])) or whole(*a))
    with jax.enable_x64(True):
        target = FlatTarget.of(gm.joint(x=dist.Normal(0.0, 1.0)))
        both = Integrands(target, Function(lambda v: v["x"]))
        for count in (3, 5000, 300_000):
            u = np.linspace(-3.0, 3.0, count)[:, None]
            logs, signs = both.values(LINE, u)
            x = np.sinh(u[:, 0])
            near = stats.norm.logpdf(x) + np.log(np.cosh(u[:, 0]))
            np.testing.assert_allclose(logs[:, 0], near, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(signs[:, 1], np.sign(x))
    assert len(set(calls)) == 1
    assert len(calls) <= 6


def test_a_constant_function_is_told_from_one_that_differs_at_a_single_point():
    logs = np.repeat(np.linspace(-3.0, 0.0, 50_000)[:, None], 3, axis=1)
    signs = np.ones_like(logs)
    logs[40_000, 2] += 1e-6
    logs[7], signs[7] = -np.inf, 0.0
    np.testing.assert_array_equal(count_same(logs, signs), [0, 49_999, 0])
    signs[30_000, 1] = -1.0
    np.testing.assert_array_equal(count_same(logs, signs), [0, 0, 0])
