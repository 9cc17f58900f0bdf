import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.adapt.welford import add, add_all, covariance, empty


def test_running_moments_are_those_of_the_whole_sample(x64):
    x = np.random.default_rng(0).normal(size=(200, 3)) * [1.0, 10.0, 0.1] + 1000.0
    for dense in (False, True):
        moments, _ = jax.lax.scan(lambda m, row: (add(m, row), None), empty(3, dense), x)
        np.testing.assert_allclose(moments.mean, x.mean(axis=0), rtol=1e-12)
        exact = np.cov(x.T) if dense else x.var(axis=0, ddof=1)
        scale = np.array([1.0, 2.0, 3.0])
        shrunk = 200 / 205 * exact + 1e-3 * 5 / 205 * (np.diag(scale) if dense else scale)
        np.testing.assert_allclose(covariance(moments, scale), shrunk, rtol=1e-9)


@pytest.mark.parametrize("dense", [False, True])
def test_vectors_added_in_groups_give_the_moments_of_all(dense, x64):
    x = np.random.default_rng(0).normal(size=(30, 3)) + 100.0
    moments = empty(3, dense)
    for part in (x[:7], x[7:8], x[8:]):
        moments = add_all(moments, jnp.asarray(part))
    exact = np.cov(x.T) * 29 if dense else x.var(0) * 30
    np.testing.assert_allclose(moments.scatter, exact, rtol=1e-10)
    np.testing.assert_allclose(moments.mean, x.mean(0), rtol=1e-12)
