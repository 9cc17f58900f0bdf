import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.core.pytrees.fields import replace

COVARIANCE = np.array([[4.0, 1.2], [1.2, 0.5]])


def run(rule, sampler, window):
    """The length after a window of correlated draws, between two stretches that do not count."""
    draws = np.random.default_rng(2).multivariate_normal([5.0, -3.0], COVARIANCE, 500)
    state, sampler = rule.start(sampler, 2)
    for i, x in enumerate(draws):
        inside = window[0] <= i < window[1]
        stats = {"warmup_window": jnp.asarray(inside), "warmup_window_end": jnp.asarray(i == window[1] - 1)}
        state, sampler = rule.update(state, sampler, jnp.asarray(x if inside else 1e3 * x), None, stats)
    exact = np.cov(draws[window[0] : window[1]].T)
    return rule.finish(state, sampler).length, exact


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_the_length_is_the_root_of_the_summed_variances_of_the_window(factor, x64):
    length, exact = run(gm.adapt.Length(factor), gm.MCLMC(), (50, 450))
    np.testing.assert_allclose(length, factor * np.sqrt(np.trace(exact)), rtol=1e-9)


@pytest.mark.parametrize("mass", [[4.0, 0.25], [[2.0, 0.6], [0.6, 0.5]]])
def test_variances_are_in_the_units_of_the_metric(mass, x64):
    length, exact = run(gm.adapt.Length(), gm.MCLMC(inverse_mass=jnp.array(mass)), (50, 450))
    matrix = np.diag(mass) if np.ndim(mass) == 1 else np.array(mass)
    factor = np.linalg.inv(np.linalg.cholesky(matrix))
    np.testing.assert_allclose(length, np.sqrt(np.trace(factor @ exact @ factor.T)), rtol=1e-9)


def test_the_first_length_is_the_one_given_or_that_of_unit_variances():
    _, sampler = gm.adapt.Length(2.0).start(gm.MCLMC(), 16)
    assert float(sampler.length) == 8.0
    _, sampler = gm.adapt.Length(2.0).start(gm.MCLMC(length=3.0), 16)
    assert float(sampler.length) == 3.0


def test_a_chain_that_stood_still_leaves_the_length_as_it_was():
    rule = gm.adapt.Length()
    state, sampler = rule.start(replace(gm.MCLMC(), length=3.0), 2)
    for i in range(5):
        stats = {"warmup_window": jnp.asarray(True), "warmup_window_end": jnp.asarray(i == 4)}
        state, sampler = rule.update(state, sampler, jnp.ones(2), None, stats)
    assert float(sampler.length) == 3.0


def test_a_factor_is_positive():
    with pytest.raises(gm.SpecError, match=r"Length\(factor=-1.0\): a length is above zero"):
        gm.adapt.Length(-1.0)
