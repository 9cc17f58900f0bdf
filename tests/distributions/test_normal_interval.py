import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as stats

from gmdsl.distributions.normal_interval import distance_with, far_bound, log_ratio


def test_the_bound_to_count_from_is_the_nearer_one():
    assert [float(v) for v in far_bound(0.0, 2.0, 4.0, None)] == [2.0, np.inf, 4.0, 1.0]
    assert [float(v) for v in far_bound(0.0, 2.0, None, -4.0)] == [2.0, np.inf, -4.0, -1.0]
    assert [float(v) for v in far_bound(0.0, 2.0, 4.0, 6.0)] == [2.0, 1.0, 4.0, 1.0]
    assert far_bound(0.0, 2.0, -4.0, 6.0)[0] < 0
    slope = jax.grad(lambda scale: far_bound(0.0, scale, 4.0, None)[0])(2.0)
    np.testing.assert_allclose(slope, -1.0)  # an infinite width leaves no NaN


@pytest.mark.parametrize(("z", "width"), [(0.5, np.inf), (3.0, 0.2), (40.0, 1e-3), (40.0, 2.0)])
def test_the_ratio_of_density_and_mass_agrees_with_scipy(z, width, x64):
    law = stats.truncnorm(z, z + width)
    distance = min(0.3 * width, 0.7 / z)
    np.testing.assert_allclose(log_ratio(*map(jnp.asarray, (z, width, distance))), law.logpdf(z + distance), rtol=1e-8)


@pytest.mark.parametrize(("z", "width"), [(0.5, np.inf), (3.0, 0.2), (1e5, np.inf)])
def test_distances_have_the_share_that_was_asked_for(z, width):
    share = np.array([0.999, 0.5, 1e-3])
    found = np.asarray(distance_with(jnp.float32(z), jnp.float32(width), jnp.asarray(share)), float)
    exact = -np.log(share) / z if z > 1e3 else stats.truncnorm(z, z + width).isf(share) - z
    np.testing.assert_allclose(found, exact, rtol=2e-3, atol=1e-4 / z)
