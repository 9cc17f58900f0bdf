import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.metric import draw_momentum, draw_step, kinetic, mahalanobis, pull, push, root, velocity

DENSE = np.array([[2.0, 0.6], [0.6, 0.5]])
DIAGONAL = np.array([4.0, 0.25])


@pytest.mark.parametrize("inverse_mass", [DENSE, DIAGONAL])
def test_momenta_have_the_mass_and_steps_the_inverse_mass_as_covariance(inverse_mass):
    n, matrix = 60_000, np.diag(inverse_mass) if inverse_mass.ndim == 1 else inverse_mass
    keys = jax.random.split(jax.random.key(0), n)
    for draw, covariance in ((draw_momentum, np.linalg.inv(matrix)), (draw_step, matrix)):
        found = np.cov(np.asarray(jax.vmap(lambda k, d=draw: d(k, jnp.asarray(inverse_mass), 2))(keys)).T)
        error = np.sqrt((covariance**2 + np.outer(np.diag(covariance), np.diag(covariance))) / n)
        assert (np.abs(found - covariance) < 4.5 * error).all()  # false alarms 3e-5


@pytest.mark.parametrize("inverse_mass", [DENSE, DIAGONAL])
def test_energies_and_lengths_are_quadratic_forms(inverse_mass, x64):
    matrix = np.diag(inverse_mass) if inverse_mass.ndim == 1 else inverse_mass
    p = np.array([1.0, -2.0])
    np.testing.assert_allclose(velocity(jnp.asarray(inverse_mass), p), matrix @ p)
    np.testing.assert_allclose(kinetic(jnp.asarray(inverse_mass), p), 0.5 * p @ matrix @ p)
    np.testing.assert_allclose(mahalanobis(jnp.asarray(inverse_mass), p), p @ np.linalg.solve(matrix, p), rtol=1e-12)


@pytest.mark.parametrize("inverse_mass", [DENSE, DIAGONAL])
def test_pushed_noise_has_the_inverse_mass_as_covariance_and_a_score_is_pulled_by_the_chain_rule(inverse_mass, x64):
    factor, eye = root(inverse_mass), jnp.eye(2)
    pushed = np.array([push(factor, e) for e in eye]).T
    np.testing.assert_allclose(pushed @ pushed.T, np.diag(inverse_mass) if inverse_mass.ndim == 1 else inverse_mass)
    z, f = jnp.array([0.3, -1.2]), lambda x: jnp.sin(x[0]) * x[1] ** 2
    slope = jax.grad(lambda z: f(push(factor, z)))(z)
    np.testing.assert_allclose(pull(factor, jax.grad(f)(push(factor, z))), slope, rtol=1e-12)


def test_a_kinetic_energy_that_overflows_is_infinite_and_never_negative():
    inverse_mass = jnp.array([[0.0034, -0.0037], [-0.0037, 0.02]])
    assert kinetic(inverse_mass, jnp.array([-1e20, -1e22])) == jnp.inf
    assert jax.jit(kinetic)(inverse_mass, jnp.array([-1e20, -1e22])) == jnp.inf
