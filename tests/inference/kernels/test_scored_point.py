import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.inference.kernels.scored_point import ScoredPoint, choose, is_nan, scored_point


def test_a_point_carries_its_log_density_and_score():
    target = gm.compile(gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))).target
    point = scored_point(target, np.array([3.0, -4.0], np.float32))
    assert float(point.log_density) == -12.5
    np.testing.assert_array_equal(point.score, [-3.0, 4.0])


def test_nan_counts_at_finite_positions_only():
    fine, nan = jnp.zeros(2), jnp.array([0.0, jnp.nan])
    assert not is_nan(ScoredPoint(fine, jnp.array(-jnp.inf), fine))
    assert is_nan(ScoredPoint(fine, jnp.array(jnp.nan), fine))
    assert is_nan(ScoredPoint(fine, jnp.array(0.0), nan))
    assert not is_nan(ScoredPoint(jnp.array([jnp.inf, 0.0]), jnp.array(jnp.nan), nan))


def test_one_of_two_points_is_chosen_whole():
    one = ScoredPoint(jnp.zeros(2), jnp.array(1.0), jnp.ones(2))
    other = ScoredPoint(jnp.ones(2), jnp.array(2.0), jnp.zeros(2))
    assert float(choose(jnp.array(True), one, other).log_density) == 1.0
    assert choose(jnp.array(False), one, other).position.tolist() == [1.0, 1.0]
