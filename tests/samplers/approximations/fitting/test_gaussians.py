import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from gmdsl.samplers.approximations.fitting.gaussians import Dense, Diagonal, standard, weighed, weight

FACTOR = np.array([[2.0, 0.0], [-1.5, 0.3]])
MEAN = np.array([1.0, -2.0])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("q", "covariance"),
    [
        (lambda: Dense(jnp.array(MEAN), jnp.array(FACTOR)), FACTOR @ FACTOR.T),
        (lambda: Diagonal(jnp.array(MEAN), jnp.array([0.2, 3.0])), np.diag([0.04, 9.0])),
    ],
    ids=["dense", "diagonal"],
)
def test_density_and_draws_are_those_of_the_covariance(q, covariance):
    q, x = q(), np.array([0.3, 1.1])
    exact = multivariate_normal(MEAN, covariance)
    assert float(q.log_density(jnp.array(x))) == pytest.approx(exact.logpdf(x), rel=1e-12)
    columns = np.asarray(jax.vmap(q.at)(jnp.eye(2)) - q.mean)
    np.testing.assert_allclose(columns.T @ columns, covariance, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(q.at(jnp.zeros(2)), MEAN)


@pytest.mark.usefixtures("x64")
def test_the_weight_of_a_draw_is_the_ratio_of_the_densities_at_it():
    class Bowl:
        def log_density(self, x):
            return -jnp.sum(x**2) + 3.0

    q = Diagonal(jnp.array(MEAN), jnp.array([0.2, 3.0]))
    x, stats = weighed(q, jax.random.key(0), Bowl())
    assert float(stats["lp"]) == pytest.approx(3.0 - np.sum(np.asarray(x) ** 2), rel=1e-12)
    assert float(stats["log_weight"]) == pytest.approx(float(stats["lp"] - q.log_density(x)), rel=1e-12)


def test_a_draw_where_the_target_is_nan_has_no_weight():
    stats = weight(standard(jnp.zeros(2)), jnp.array(jnp.nan))
    assert float(stats["log_weight"]) == -np.inf
