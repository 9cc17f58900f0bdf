import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.distributions.special.log_integral import decay, floats, log_integral, reach
from gmdsl.distributions.special.stirling import exp_beyond_linear


@pytest.mark.parametrize("longer", [1.0, 2.0])
def test_exponentials_and_halves_of_gaussians_are_integrated(longer, x64):
    rate = jnp.asarray([1e-3, 1.0, 1e6])
    found = log_integral(lambda w: -rate[:, None] * w, longer * decay(rate.dtype) / rate)
    np.testing.assert_allclose(found, -np.log(rate), atol=1e-12)
    length = longer * jnp.sqrt(2.0 * decay(rate.dtype) / rate)
    found = log_integral(lambda w: -0.5 * rate[:, None] * w**2, length)
    np.testing.assert_allclose(found, 0.5 * np.log(np.pi / 2 / rate), atol=1e-12)


@pytest.mark.parametrize("slope", [0.0, 1e-2, 5.0, 1e6])
@pytest.mark.parametrize("curvature", [1e-3, 1.0, 1e6])
def test_the_reach_is_the_root_and_goes_far_enough(slope, curvature, x64):
    slope, curvature = floats(slope, curvature)
    w = reach(slope, curvature)
    np.testing.assert_allclose(slope * w + curvature * w**2 / (2 + w), decay(w.dtype), rtol=1e-9)
    assert slope * w + curvature * exp_beyond_linear(-w) > decay(w.dtype) * (1 - 1e-9)
    assert slope * w + curvature * exp_beyond_linear(w) > decay(w.dtype) * (1 - 1e-9)


def test_values_get_one_shape_and_precision():
    found = floats(1, np.arange(3), jnp.float32(2.0))
    assert [(array.shape, array.dtype) for array in found] == [((3,), jnp.float32)] * 3
