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


def test_a_path_of_labels_keeps_the_neighbours_and_couplings_of_its_target():
    """Whatever joined all spins would make `gm.Gibbs` evaluate the whole density at each value of each spin."""
    from gmdsl.core.jaxprs.tape import traced
    from gmdsl.exact.conditionals.couplings import is_quadratic
    from gmdsl.exact.conditionals.interactions import interactions

    lattice = gm.energies.ising(4, 4, 0.3)
    target = compile_path(gm.temper(lattice.model)).at(jnp.asarray(0.7))
    program = traced(lambda v: target.log_density(v["s"]), {"s": jnp.ones(16)}, opaque=False)
    found = interactions(program)
    pairs = found.pairs.toarray() & ~np.eye(16, dtype=bool)
    assert pairs.sum(axis=1).tolist() == [4] * 16
    assert is_quadratic(found.dependences[program.output].degree)
    exact = 0.7 * 0.3 * 32 + 0.3 * -16 * np.log(2)
    np.testing.assert_allclose(target.log_density(jnp.ones(16)), exact, rtol=1e-5)
