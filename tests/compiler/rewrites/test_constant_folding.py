import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.rewrites.constant_folding import folded

S = np.array([[2.0, 0.6, 0.1], [0.6, 1.0, -0.2], [0.1, -0.2, 0.5]])
MEAN = np.array([0.3, -1.0, 2.0])


def primitives(target):
    """The operations of the log-density and its score at a point."""
    return str(jax.make_jaxpr(target.log_density_and_score)(jnp.zeros(target.dim)))


@pytest.mark.filterwarnings("ignore::gmdsl.core.errors.CaptureWarning")
@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("name", ["covariance_matrix", "precision_matrix"])
def test_a_constant_inside_of_a_function_is_factored_once(name, x64):
    """The density is scipy's, its score that of the closed form, and no factorisation or solve is left."""
    matrix = S if name == "covariance_matrix" else np.linalg.inv(S)
    model = gm.joint(x=lambda: dist.MultivariateNormal(jnp.asarray(MEAN), **{name: jnp.asarray(matrix)}))
    target, point = gm.compile(model).target, np.array([0.5, 1.5, -0.7])
    lp, score = target.log_density_and_score(jnp.asarray(point))
    np.testing.assert_allclose(lp, stats.multivariate_normal(MEAN, S).logpdf(point), rtol=1e-10)
    np.testing.assert_allclose(score, np.linalg.solve(S, MEAN - point), rtol=1e-9)
    assert "cholesky" not in primitives(target)
    assert "triangular_solve" not in primitives(target)


def test_a_matrix_of_data_or_of_the_position_is_factored_when_it_is_there(x64):
    """What depends on data is not a constant of the program, whose other data must give another density."""
    for scale in (1.0, 4.0):
        model = gm.joint(S=gm.data(scale * S), x=lambda S: dist.MultivariateNormal(0.0, S))
        found = gm.compile(model).target.log_density(jnp.asarray(MEAN))
        np.testing.assert_allclose(found, stats.multivariate_normal(cov=scale * S).logpdf(MEAN), rtol=1e-10)
    function = folded(lambda x: jnp.linalg.cholesky(jnp.asarray(S) + x[0] * jnp.eye(3))[2, 2])
    assert "cholesky" in str(jax.make_jaxpr(function)(jnp.zeros(1)))
    np.testing.assert_allclose(function(jnp.ones(1)), np.linalg.cholesky(S + np.eye(3))[2, 2], rtol=1e-12)


def test_a_function_without_costly_constants_is_left_as_it_is():
    function = lambda x: jnp.sum(jnp.exp(jnp.arange(3.0)) * x)  # noqa: E731
    assert str(jax.make_jaxpr(folded(function))(jnp.ones(3))) == str(jax.make_jaxpr(function)(jnp.ones(3)))


@pytest.mark.filterwarnings("ignore::gmdsl.core.errors.CaptureWarning")
def test_chains_are_those_of_the_known_factor(x64):
    """Given as a constant of a function or as the factor itself, a model has the same draws."""
    inside = gm.joint(x=lambda: dist.MultivariateNormal(jnp.asarray(MEAN), jnp.asarray(S)))
    outside = gm.joint(x=dist.MultivariateNormal(MEAN, scale_tril=np.linalg.cholesky(S)))
    trees = [gm.sample(m, gm.NUTS(), draws=50, warmup=50, progress=False) for m in (inside, outside)]
    np.testing.assert_allclose(*(tree["posterior"]["x"].values for tree in trees), rtol=1e-6, atol=1e-8)
