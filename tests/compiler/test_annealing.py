import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.annealing import annealing_of


@pytest.mark.parametrize("beta", [0.2, 1.0, 7.0])
def test_the_power_acts_on_the_declared_density_and_the_jacobian_enters_once(beta, x64):
    found = annealing_of(gm.joint(s=dist.Gamma(3.0, 1.0)))
    u = 0.4
    s = np.exp(u)
    np.testing.assert_allclose(found.height(jnp.array([u])), stats.gamma(3.0).logpdf(s), rtol=1e-12)
    exact = beta * stats.gamma(3.0).logpdf(s) + u
    np.testing.assert_allclose(found.at(jnp.asarray(beta)).log_density(jnp.array([u])), exact, rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0, 7.0])
def test_a_path_is_followed_to_its_end_and_then_the_power_of_its_target(beta, x64):
    path = gm.temper(gm.energy(lambda s: 2.0 * s - jnp.log(s), s=gm.Positive()), gm.joint(s=dist.Gamma(3.0, 1.0)))
    found = annealing_of(path)
    u = 0.4
    s = np.exp(u)
    height, reference = np.log(s) - 2.0 * s, stats.gamma(3.0).logpdf(s)
    exact = u + (beta * height + (1.0 - beta) * reference if beta <= 1.0 else beta * height)
    np.testing.assert_allclose(found.at(jnp.asarray(beta)).log_density(jnp.array([u])), exact, rtol=1e-12)
    np.testing.assert_allclose(found.height(jnp.array([u])), height, rtol=1e-12)


def test_starts_are_where_there_is_a_density_and_labels_have_their_values():
    cut = annealing_of(gm.energy(lambda x: jnp.where(x > 0.0, x, jnp.inf), x=gm.Real()))
    x = np.asarray(jax.vmap(cut.start)(jax.random.split(jax.random.key(0), 300)))
    assert x.min() > 0.0  # half of all points; none of twenty: 1e-6 a start
    labels = annealing_of(gm.energy(lambda s: 0.0 * jnp.sum(s), s=gm.Spin(3)))
    s = np.asarray(jax.vmap(labels.start)(jax.random.split(jax.random.key(0), 2000)))
    assert set(np.unique(s)) == {-1.0, 1.0}
    assert np.abs(s.mean(axis=0)).max() < 4.5 / np.sqrt(2000)


def test_starts_on_a_path_are_draws_of_its_reference():
    path = gm.temper(gm.energy(lambda x: x**2, x=gm.Real()), gm.joint(x=dist.Normal(30.0, 2.0)))
    x = np.asarray(jax.vmap(annealing_of(path).start)(jax.random.split(jax.random.key(0), 2000)))
    assert abs(x.mean() - 30.0) < 4.5 * 2.0 / np.sqrt(2000)
