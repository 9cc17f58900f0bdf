import jax
import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.diagnose.checks.gradient import compare, gradient
from gmdsl.diagnose.positions import Positions


def along(model, x):
    return gradient(model, Positions(np.asarray(x, np.float32)))


def test_a_right_gradient_agrees_at_every_point():
    rng = np.random.default_rng(0)
    model = gm.energy(lambda x: jnp.sum(jnp.cosh(x)) + 100.0 * (x[0] - x[1]) ** 2, x=gm.Real(2))
    found = along(model, rng.normal(size=(4, 50, 2)))
    assert found.status == "ok"
    assert "128 points" in found.evidence


def test_a_wrong_gradient_is_found_wherever_it_differs():
    rng = np.random.default_rng(1)
    stopped = gm.energy(lambda x: 0.5 * x @ x + jnp.where(x[0] > 0.5, jax.lax.stop_gradient(x[1]), 0.0), x=gm.Real(2))
    found = along(stopped, rng.normal(size=(4, 50, 2)))
    assert found.status == "suspect"
    share = float(found.evidence.split(" at ")[1].split(" %")[0])
    assert 15.0 < share < 45.0  # P(x > 0.5) is 31 % at the draws
    rounded = gm.energy(lambda x: 0.5 * jnp.sum((jnp.round(x * 8.0) / 8.0) ** 2) + 0.5 * x @ x, x=gm.Real(2))
    assert along(rounded, rng.normal(size=(4, 50, 2))).status == "ok"  # a staircase is flat almost everywhere


def test_a_trap_that_keeps_the_chains_out_is_found_beside_them():
    trap = gm.energy(lambda x: 0.5 * (x + 0.35) ** 2 + jnp.where(x > 0.0, jnp.sqrt(x), 0.0), x=gm.Real())
    inside = np.abs(np.random.default_rng(2).normal(size=(4, 100, 1))) + 0.01
    found = along(trap, inside)
    assert found.status == "suspect"
    assert "(x)" in found.evidence


def test_a_kink_a_narrow_scale_and_a_wide_one_are_no_mistake():
    rng = np.random.default_rng(3)
    kink = gm.energy(lambda x: jnp.sum(jnp.abs(x)), x=gm.Real(2))
    assert along(kink, rng.laplace(size=(4, 50, 2))).status == "ok"
    scales = gm.energy(lambda x: 0.5 * ((x[0] / 1e-4) ** 2 + (x[1] / 1e5) ** 2), x=gm.Real(2))
    assert along(scales, rng.normal(size=(4, 50, 2)) * np.array([1e-4, 1e5])).status == "ok"


def test_points_outside_the_support_are_not_counted():
    wall = gm.energy(lambda x: jnp.where(x > 0.0, x, jnp.inf), x=gm.Real())
    slopes = compare(wall, np.array([[-1.0], [1.0], [2.0]]), 1.0, np.random.default_rng(0))
    assert slopes.finite.tolist() == [False, True, True]
    assert not slopes.broken.any()
    assert not slopes.wrong.any()


def test_a_model_that_needs_single_precision_is_not_examined():
    def fussy(x):
        if x.dtype != jnp.float32:
            raise TypeError("float32 only")
        return 0.5 * x @ x

    found = along(gm.energy(fussy, x=gm.Real(2)), np.random.default_rng(0).normal(size=(4, 50, 2)))
    assert found.status == "note"
    assert "float32 only" in found.evidence
