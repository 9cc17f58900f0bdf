import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.flat_path import compile_path


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_the_power_acts_on_the_constrained_density_and_the_jacobian_enters_once(beta, x64):
    path = compile_path(gm.temper(gm.energy(lambda s: 2.0 * s, s=gm.Positive()), gm.joint(s=dist.Gamma(3.0, 1.0))))
    u = 0.4
    s = np.exp(u)
    exact = (1 - beta) * stats.gamma(3.0).logpdf(s) + beta * (-2.0 * s) + u
    target = path.at(jnp.asarray(beta))
    np.testing.assert_allclose(target.log_density(jnp.array([u])), exact, rtol=1e-12)
    np.testing.assert_allclose(path.log_ratio(jnp.array([u])), -2.0 * s - stats.gamma(3.0).logpdf(s), rtol=1e-12)


def test_draws_of_the_reference_are_in_unconstrained_coordinates():
    path = compile_path(gm.temper(gm.energy(lambda s: s, s=gm.Positive()), gm.joint(s=dist.Gamma(3.0, 1.0))))
    draws = np.exp(np.asarray(jax.vmap(path.draw)(jax.random.split(jax.random.key(0), 20_000)))[:, 0])
    assert abs(draws.mean() - 3.0) < 4.5 * np.sqrt(3.0 / 20_000)


def test_nan_counts_as_no_density(x64):
    path = compile_path(gm.temper(gm.energy(lambda x: jnp.log(x), x=gm.Real()), gm.joint(x=dist.Normal(0.0, 1.0))))
    assert path.log_ratio(jnp.array([-1.0])) == -jnp.inf
