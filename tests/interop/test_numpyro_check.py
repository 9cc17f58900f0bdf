import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.interop import numpyro_check
from gmdsl.interop.numpyro_program import NumPyroProgram


def test_random_numbers_in_a_density_are_refused():
    def noisy(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mu + jax.random.normal(numpyro.prng_key()), 1.0), obs=y)

    with pytest.raises(gm.SpecError, match=r"depends on random numbers .*Make them once and pass them as data"):
        gm.from_numpyro_model(noisy, 1.0)


def test_a_latent_that_is_read_by_numpy_is_refused_in_words():
    def model(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(np.exp(mu), 1.0), obs=y)

    def branch(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mu if mu > 0 else 2.0 * mu, 1.0), obs=y)

    for function in (model, branch):
        with pytest.raises(gm.SpecError, match=r"Compute with jax.numpy, and choose by jnp.where in place of if"):
            gm.from_numpyro_model(function, 1.0)


def test_a_density_that_is_not_numpyros_is_refused(monkeypatch):
    def coin(y):
        p = numpyro.sample("p", dist.Beta(2.0, 2.0))
        numpyro.sample("y", dist.Bernoulli(p).expand([3]), obs=y)

    wrong = lambda self, values: NumPyroProgram.decode(self, values, {})[1] + jnp.asarray(0.01)  # noqa: E731
    monkeypatch.setattr(NumPyroProgram, "log_density", wrong)
    jax.clear_caches()
    with pytest.raises(gm.SpecError, match=r"log-density is .* here and .* by NumPyro"):
        gm.from_numpyro_model(coin, np.array([1, 0, 1]))
    jax.clear_caches()


def test_infinite_densities_that_agree_are_no_fault():
    assert numpyro_check._close(-np.inf, -np.inf, np.inf)
    assert not numpyro_check._close(-np.inf, -3.0, np.inf)
    assert numpyro_check._close(np.nan, np.nan, np.nan)
