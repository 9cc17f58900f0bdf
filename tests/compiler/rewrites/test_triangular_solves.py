import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.rewrites.rewrite import rewritten
from gmdsl.compiler.rewrites.triangular_solves import by_inverse

ROOT = np.tril(np.random.default_rng(0).normal(size=(6, 6))) + 3.0 * np.eye(6)
RULES = {"triangular_solve": by_inverse}


def solves(function, x):
    return "triangular_solve" in str(jax.make_jaxpr(function)(x))


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("unit", [True, False])
def test_the_product_is_the_solution_and_so_is_its_derivative(lower, transposed, unit, x64):
    matrix = jnp.asarray(ROOT if lower else ROOT.T) + (0.0 if not unit else 0.1)

    def function(x):
        found = jax.scipy.linalg.solve_triangular(matrix, x, transposed, lower, unit)
        return jnp.sum(jnp.sin(found) * jnp.arange(1.0, 7.0))

    x, other = jnp.arange(6.0) - 2.0, rewritten(function, RULES)
    assert solves(function, x)
    assert not solves(jax.grad(other), x)
    np.testing.assert_allclose(other(x), function(x), rtol=1e-11)
    np.testing.assert_allclose(jax.grad(other)(x), jax.grad(function)(x), rtol=1e-10)


@pytest.mark.usefixtures("cpu")
def test_a_normal_of_known_covariance_is_evaluated_without_a_solve(x64):
    covariance, mean = ROOT @ ROOT.T, np.arange(6.0)
    target = gm.compile(gm.joint(x=dist.MultivariateNormal(mean, covariance))).target
    x = jnp.ones(6)
    value, score = target.log_density_and_score(x)
    assert not solves(target.log_density_and_score, x)
    np.testing.assert_allclose(value, stats.multivariate_normal(mean, covariance).logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(score, np.linalg.solve(covariance, mean - np.asarray(x)), rtol=1e-10)


def test_matrices_that_move_are_large_or_ill_conditioned_are_solved_with():
    x = jnp.ones(6)
    ill = jnp.asarray(np.diag([1.0, 1.0, 1.0, 1.0, 1.0, 1e-6]), jnp.float32)
    singular = jnp.asarray(np.diag([1.0, 1.0, 1.0, 1.0, 1.0, 0.0]), jnp.float32)
    large = jnp.eye(257)
    moves = lambda x: jax.scipy.linalg.solve_triangular(jnp.diag(1.0 + x**2), x, lower=True)  # noqa: E731
    solve = lambda matrix: lambda x: jax.scipy.linalg.solve_triangular(matrix, x, lower=True)  # noqa: E731
    for function, at in ((moves, x), (solve(ill), x), (solve(singular), x), (solve(large), jnp.ones(257))):
        assert solves(rewritten(function, RULES), at)
    model = gm.joint(s=dist.HalfNormal(1.0), x=lambda s: dist.MultivariateNormal(jnp.zeros(3), s * jnp.eye(3)))
    assert solves(gm.compile(model).target.log_density, jnp.zeros(4))
