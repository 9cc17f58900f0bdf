import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm

COVARIANCE = np.array([[4.0, 1.2], [1.2, 0.5]])


def run(adapter, draws, window=slice(0, None)):
    state, sampler = adapter.start(gm.HMC(), 2)
    inside = np.zeros(len(draws), bool)
    inside[window] = True
    for i, x in enumerate(draws):
        stats = {"warmup_window": jnp.asarray(inside[i]), "warmup_window_end": jnp.asarray(i == len(draws) - 1)}
        state, sampler = adapter.update(state, sampler, jnp.asarray(x), None, stats)
    return state, adapter.finish(state, sampler)


@pytest.fixture
def draws():
    return np.random.default_rng(1).multivariate_normal([5.0, -3.0], COVARIANCE, 400)


@pytest.mark.parametrize("adapter", [gm.adapt.DiagonalMetric(), gm.adapt.DenseMetric()])
def test_the_inverse_mass_becomes_the_covariance_of_the_window(adapter, draws, x64):
    state, sampler = run(adapter, draws)
    dense = isinstance(adapter, gm.adapt.DenseMetric)
    exact = np.cov(draws.T) if dense else draws.var(axis=0, ddof=1)
    np.testing.assert_allclose(sampler.inverse_mass, exact, rtol=0.02, atol=1e-4)
    assert float(state.count) == 0.0  # the next window starts from nothing


def test_draws_outside_the_window_do_not_count(draws, x64):
    far = np.concatenate([np.full((50, 2), 1e6), draws])
    _, sampler = run(gm.adapt.DiagonalMetric(), far, slice(50, None))
    np.testing.assert_allclose(sampler.inverse_mass, draws.var(axis=0, ddof=1), rtol=0.02)


def test_a_given_inverse_mass_is_where_it_starts():
    _, sampler = gm.adapt.DenseMetric().start(gm.HMC(inverse_mass=jnp.array([2.0, 3.0])), 2)
    assert sampler.inverse_mass.tolist() == [[2.0, 0.0], [0.0, 3.0]]
    assert jax.tree.leaves(gm.adapt.DiagonalMetric().start(gm.HMC(), 3)[1].inverse_mass)[0].shape == (3,)


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_warm_up_does_not_depend_on_units(scale):
    import numpyro.distributions as dist

    model = gm.joint(x=dist.Normal(0.0, scale).expand([5]), y=dist.Normal(0.0, 1.0))
    tree = gm.sample(model, gm.NUTS(), draws=10, progress=False)
    assert float(tree["sample_stats"]["step_size"].mean()) > 0.5  # 0.025 at the small scale with Stan's shrinkage
