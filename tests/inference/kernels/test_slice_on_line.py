import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from gmdsl.inference.kernels.slice_on_line import slice_on_line


def _drawn(height, level, width, most, count=4000):
    keys = jax.random.split(jax.random.key(0), (count, 3))
    return jax.vmap(lambda keys: slice_on_line(tuple(keys), height, jnp.asarray(level), width, most))(keys)


def test_a_point_is_uniform_above_the_level_whatever_the_width():
    """Between -1 and 3, seen from 0: uniform when the interval is stepped out past both ends (false alarm 1e-4)."""
    at = _drawn(lambda t: jnp.where((t > -1.0) & (t < 3.0), 0.0, -jnp.inf), -1.0, 1.0, 2000)
    assert np.asarray(at.found).all()
    assert stats.kstest((np.asarray(at.t) + 1.0) / 4.0, "uniform").pvalue > 1e-4


def test_it_stays_where_there_is_no_other_point():
    at = _drawn(lambda t: jnp.where(t == 0.0, 0.0, -jnp.inf), 0.0, 1.0, 5, 50)
    assert not np.asarray(at.found).any()
    assert (np.asarray(at.t) == 0.0).all()


def test_a_nan_counts_as_below_and_is_told():
    at = _drawn(lambda t: jnp.where(jnp.abs(t) < 0.1, 0.0, jnp.nan), 0.0, 2.0, 5, 200)
    assert np.asarray(at.found).all()
    assert (np.abs(np.asarray(at.t)) < 0.1).all()
    assert np.asarray(at.broken).mean() > 0.5
