import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from gmdsl.graph.factor import call_by_name
from gmdsl.graph.factors.distributed import Distributed


@pytest.fixture
def normal():
    return Distributed("x", call_by_name(lambda m, s: dist.Normal(m, s).expand([3])))


def test_batch_dimensions_are_summed_in_the_density_and_kept_apart_pointwise(normal, x64):
    values = {"m": 1.0, "s": 2.0, "x": jnp.array([0.0, 1.0, 4.0])}
    exact = stats.norm(1.0, 2.0).logpdf([0.0, 1.0, 4.0])
    np.testing.assert_allclose(normal.log_density(values), exact.sum(), rtol=1e-12)
    np.testing.assert_allclose(normal.pointwise(values)["x"], exact, rtol=1e-12)


def test_decoding_adds_the_jacobian_once(x64):
    factor = Distributed("t", call_by_name(lambda: dist.HalfNormal(2.0)))
    value, total = factor.decode({}, {"t": jnp.array(0.7)})
    t = np.exp(0.7)
    np.testing.assert_allclose(value["t"], t)
    np.testing.assert_allclose(total, stats.halfnorm(scale=2.0).logpdf(t) + 0.7, rtol=1e-12)


def test_bounds_follow_the_parents(x64):
    factor = Distributed("b", call_by_name(lambda a: dist.Uniform(0.0, a)))
    for top in (1.0, 5.0):
        value, total = factor.decode({"a": jnp.array(top)}, {"b": jnp.array(0.3)})
        share = 1 / (1 + np.exp(-0.3))
        np.testing.assert_allclose(value["b"], top * share)
        np.testing.assert_allclose(total, np.log(share * (1 - share)), rtol=1e-10)
        np.testing.assert_allclose(factor.encode({"a": top, **value}, ("b",))["b"], 0.3, rtol=1e-10)


def test_an_observed_child_is_scored_where_it_is(normal, x64):
    made, total = normal.decode({"m": 0.0, "s": 1.0, "x": jnp.zeros(3)}, {})
    assert made == {}
    np.testing.assert_allclose(total, 3 * stats.norm.logpdf(0.0), rtol=1e-12)


def test_draws_follow_the_distribution(normal):
    draws = normal.draw(jax.random.key(0), {"m": 1.0, "s": 2.0}, (20_000,))["x"]
    assert draws.shape == (20_000, 3)
    z = (np.asarray(draws).mean(axis=0) - 1.0) / (2.0 / np.sqrt(20_000))
    assert np.abs(z).max() < 4.5  # false alarms: 3 numbers, 2e-5
