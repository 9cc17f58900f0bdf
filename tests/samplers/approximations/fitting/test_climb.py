import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.samplers.approximations.fitting.climb import Climb, check_counts, climb, elsewhere, highest, no_start, starts


def banana(x):
    """Minus Rosenbrock's function: its only mode is (1, 1), at the end of a bent ridge."""
    return -(100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2)


@pytest.mark.usefixtures("x64")
def test_the_end_of_a_bent_ridge_is_found_in_double_precision():
    end = jax.jit(lambda x: climb(banana, x, 200))(jnp.array([-1.2, 1.0]))
    np.testing.assert_allclose(end.x, [1.0, 1.0], atol=1e-7)
    assert bool(end.arrived)
    assert int(end.count) < 100


def test_the_unit_of_a_variable_and_a_large_constant_do_not_matter_in_single_precision():
    """A ridge of condition 10^8 under a constant of 2,000, whose rounding alone is 1e-4."""
    scale = jnp.array([1e-3, 1.0, 10.0])
    end = jax.jit(lambda x: climb(lambda x: -2000.0 - 0.5 * jnp.sum((x / scale - 2.0) ** 2), x, 500))(jnp.ones(3))
    np.testing.assert_allclose(end.x / scale, 2.0, atol=0.05)


def test_the_way_is_kept_with_its_scores_from_the_start_to_the_end():
    end = jax.jit(lambda x: climb(banana, x, 200, keep=True))(jnp.array([-1.2, 1.0]))
    last = int(end.count) - 1
    np.testing.assert_array_equal(end.way[0], np.float32([-1.2, 1.0]))
    np.testing.assert_array_equal(end.way[last], end.x)
    assert not np.asarray(end.way[last + 1 :]).any()
    np.testing.assert_allclose(
        end.scores[: last + 1], jax.vmap(jax.grad(banana))(end.way[: last + 1]), rtol=1e-4, atol=1e-3
    )
    heights = np.asarray(jax.vmap(banana)(end.way[: last + 1]))
    assert (np.diff(heights) >= -1e-4).all()
    assert heights[-1] > heights[0] + 20


def test_a_nan_is_no_density_and_the_climb_goes_round_it():
    """The log-density is NaN below zero; a full first step from 0.1 would land there."""
    end = jax.jit(lambda x: climb(lambda x: jnp.sum(3.0 * jnp.log(x) - x), x, 100))(jnp.array([0.1, 40.0]))
    np.testing.assert_allclose(end.x, 3.0, rtol=1e-3)
    assert bool(end.arrived)


def test_a_density_without_a_mode_is_not_arrived_at():
    end = jax.jit(lambda x: climb(lambda x: jnp.sum(x), x, 50))(jnp.zeros(2))
    assert not bool(end.arrived)


def test_starts_are_points_with_a_density_where_few_have_one():
    target = gm.compile(gm.energy(lambda x: jnp.where(x > 1.5, x, jnp.nan), x=gm.Real())).target
    x, some = starts(jax.random.key(0), target, 8)
    assert bool(some)
    assert x.shape == (8, 1)
    assert (np.asarray(x) > 1.5).all()
    assert len(np.unique(np.asarray(x))) == 8
    nowhere = gm.compile(gm.energy(lambda x: jnp.nan * x, x=gm.Real())).target
    assert not bool(starts(jax.random.key(0), nowhere, 2)[1])
    assert "160 points" in str(no_start("sample(...)", 8))


def test_a_valley_half_way_or_a_lower_end_tells_another_mode():
    def two(x):
        return jnp.sum(jnp.logaddexp(-0.5 * (x - 4.0) ** 2, -0.5 * (x + 4.0) ** 2))

    x = jnp.array([[4.0], [-4.0], [4.01], [3.0]])
    ends = Climb(x, jax.vmap(two)(x), jnp.array([True] * 4), jnp.zeros(4, int), x[:, None], x[:, None])
    assert int(highest(ends)) in (0, 1)
    np.testing.assert_array_equal(elsewhere(two, ends, jnp.int32(0)), [False, True, False, True])
    gone = ends._replace(arrived=jnp.array([False, False, False, True]))
    assert int(highest(gone)) == 3


@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_counts_below_one_are_refused(value):
    with pytest.raises(gm.SpecError, match=r"MAP\(starts=.*\): a whole number of at least 1"):
        gm.MAP(starts=value)
    check_counts(gm.MAP(), "starts", "steps")
