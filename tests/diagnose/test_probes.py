import jax
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.diagnose.probes import log_densities, scores, starts


def test_points_are_evaluated_in_the_precision_that_is_asked_for():
    model = gm.joint(x=dist.Normal(0.5, 2.0).expand([3]))
    x = starts(3, 200)
    exact = -0.5 * ((x - 0.5) ** 2).sum(1) / 4.0 - 3.0 * np.log(2.0 * np.sqrt(2.0 * np.pi))
    np.testing.assert_allclose(log_densities(model, x), exact, rtol=1e-12)
    rough = log_densities(model, x, double=False)
    assert 1e-9 < np.abs(rough - exact).max() < 1e-4
    value, score = scores(model, x)
    np.testing.assert_allclose(value, exact, rtol=1e-12)
    np.testing.assert_allclose(score, (0.5 - x) / 4.0, rtol=1e-12)
    assert not jax.config.jax_enable_x64


def test_starts_are_those_of_a_run():
    x = starts(2, 1000)
    assert np.abs(x).max() < 2.0
    assert abs(x.mean()) < 4.5 * 2.0 / np.sqrt(3 * 2000)
    np.testing.assert_array_equal(x, starts(2, 1000))
