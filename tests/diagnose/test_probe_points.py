import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diagnose.probe_points import WORK, affordable, log_densities, scores, starts


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


@pytest.mark.filterwarnings("ignore::gmdsl.core.errors.CaptureWarning")  # arrays are captured on purpose
def test_a_model_that_ran_in_single_precision_is_evaluated_in_double():
    """JAX keeps NumPy arrays that are closed over in their first precision; every kind of node holds some."""
    width, normal = np.full(1, 0.5), dist.Normal(jnp.full(2, 5.0), 0.5)
    parts = gm.joint(x=dist.Normal(jnp.zeros(2), 0.5)), gm.joint(x=normal)
    at, far = np.zeros((1, 2)), -2.0 * np.log(0.5 * np.sqrt(2.0 * np.pi)) + np.log(0.7)
    for model, exact in (
        (gm.mixture([0.7, 0.3], *parts), far),
        (gm.joint(x=dist.Normal(jnp.zeros(2), 0.5)), far - np.log(0.7)),
        (gm.energy(lambda x: ((x / width) ** 2).sum() / 2.0, x=gm.Real(2)), 0.0),
        (gm.energy(lambda x: -normal.log_prob(x + 5.0).sum(), x=gm.Real(2)), far - np.log(0.7)),
    ):
        rough = log_densities(model, at, double=False)
        fine = log_densities(model, at)
        np.testing.assert_allclose(fine, exact, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(rough, fine, rtol=1e-5)
        assert log_densities(model, at, double=False) == rough


def test_points_are_few_only_where_a_model_holds_many_numbers():
    small = gm.compile(
        gm.joint(m=dist.Normal(0, 1), y=lambda m: dist.Normal(m, 1).expand([100])).condition(y=np.ones(100))
    )
    assert affordable(small.target, 4000, 400) == 4000
    rows = np.zeros(2**20, np.float32)
    large = gm.joint(m=dist.Normal(0, 1), y=lambda m, x: dist.Normal(m + x, 1), x=gm.data(rows)).condition(y=rows)
    assert affordable(gm.compile(large).target, 4000, 100) == WORK // 2**21
    assert affordable(gm.compile(large).target, 4000, 1000) == 1000
