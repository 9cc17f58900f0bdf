import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.adapt.marginals import CELLS, KEPT, drawn, log_marginal, quantiles
from gmdsl.samplers.metropolis_within_gibbs import MetropolisWithinGibbs


def test_quantiles_are_those_of_numpy_and_leave_gaps_out(x64):
    draws = np.random.default_rng(0).gamma(2.0, size=(100, 3))
    exact = np.quantile(draws, np.linspace(0, 1, CELLS + 1), axis=0).T
    np.testing.assert_allclose(quantiles(jnp.asarray(draws)), exact, rtol=1e-12)
    gaps = np.concatenate([draws, np.full((20, 3), np.nan)])
    np.testing.assert_allclose(quantiles(jnp.asarray(gaps)), exact, rtol=1e-12)


def test_quantiles_of_draws_that_coincide_are_apart():
    found = np.asarray(quantiles(jnp.full((64, 1), 1e4).at[0, 0].set(1e4 + 1)))
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_draws_have_the_density_that_is_stated_and_the_density_has_mass_one(x64, scale):
    edges = scale * jnp.sort(jax.random.normal(jax.random.key(0), (CELLS + 1,)))
    uniform = jnp.linspace(0.0, 1.0, 1001)
    x, log_density = drawn(jnp.broadcast_to(edges, (1001, CELLS + 1)), uniform)
    inner = slice(1, -1)
    found = log_marginal(jnp.broadcast_to(edges, (1001, CELLS + 1)), x)
    np.testing.assert_allclose(found[inner], log_density[inner], rtol=1e-9)
    np.testing.assert_allclose(1 / np.gradient(x, uniform)[3:9], np.exp(log_density)[3:9], rtol=1e-6)  # dx/du = 1 / q
    middle = 0.5 * (edges[1:] + edges[:-1])
    mass = jnp.exp(log_marginal(jnp.broadcast_to(edges, (CELLS, CELLS + 1)), middle)) @ jnp.diff(edges)
    assert abs(float(mass) - 1) < 1e-12
    outside = jnp.stack([edges[0] - scale, edges[-1] + scale])
    assert (log_marginal(jnp.broadcast_to(edges, (2, CELLS + 1)), outside) == -jnp.inf).all()


def test_windows_of_draws_become_quantiles_at_their_end(x64):
    rule = gm.adapt.Marginals()
    state, sampler = rule.start(MetropolisWithinGibbs(), 2)
    assert np.isnan(sampler.marginals).all()
    update = jax.jit(lambda state, sampler, x, flags: rule.update(state, sampler, x, None, flags))
    draws = np.random.default_rng(1).normal(size=(KEPT + 40, 2))
    for i, x in enumerate(draws):
        flags = {"warmup_window": jnp.asarray(i >= 20), "warmup_window_end": jnp.asarray(i == len(draws) - 1)}
        state, sampler = update(state, sampler, jnp.asarray(x), flags)
    np.testing.assert_allclose(rule.finish(state, sampler).marginals, quantiles(jnp.asarray(draws[-KEPT:])), rtol=1e-12)
    assert state.count == 0
    given = np.sort(draws[: CELLS + 1].T)
    assert (rule.start(MetropolisWithinGibbs(marginals=given), 2)[1].marginals == given).all()


def test_pooled_quantiles_are_of_the_draws_of_all_chains(x64):
    """Four chains of 300 draws: of each the last 256 count, every fourth place of them."""
    rule = gm.adapt.Marginals(pooled=True)
    draws = np.random.default_rng(1).normal(size=(4, 300, 2)) + 10.0 * np.arange(4)[:, None, None]

    def chain(draws):
        def one(at, i):
            flags = {"warmup_window": True, "warmup_window_end": i == len(draws) - 1}
            return rule.update(*at, draws[i], None, flags), None

        return jax.lax.scan(one, rule.start(MetropolisWithinGibbs(), 2), jnp.arange(len(draws)))[0][1].marginals

    found = np.asarray(jax.jit(jax.vmap(chain, axis_name="lanes"))(jnp.asarray(draws)))
    assert (found == found[0]).all()
    ring = np.array([[draws[c, p + KEPT if p + KEPT < 300 else p] for p in range(KEPT)] for c in range(4)])
    exact = quantiles(jnp.asarray(ring[:, ::4].reshape(-1, 2)))
    np.testing.assert_allclose(found[0], exact, rtol=1e-12)
