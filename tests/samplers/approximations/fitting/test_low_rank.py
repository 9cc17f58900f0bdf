import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from gmdsl.samplers.approximations.fitting.low_rank import forgotten, gaussian, remembered


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("dim", "pairs", "steps"), [(3, 6, 5), (10, 3, 5), (4, 2, 0), (12, 6, 3)])
def test_the_gaussian_is_that_of_the_textbook_recursion(dim, pairs, steps):
    """The dense update of BFGS, from the same diagonal over the pairs that are remembered."""
    rng = np.random.default_rng(dim)
    root = rng.normal(size=(dim, dim))
    precision = root @ root.T + np.eye(dim)
    history, seen = forgotten(dim, pairs, jnp.zeros(()).dtype), []
    for _ in range(steps):
        move = rng.normal(size=dim)
        history = remembered(history, jnp.array(move), jnp.array(precision @ move))
        seen.append((move, precision @ move))
    inverse = np.diag(np.asarray(history.diagonal))
    for s, z in seen[-pairs:]:
        turn = np.eye(dim) - np.outer(s, z) / (s @ z)
        inverse = turn @ inverse @ turn.T + np.outer(s, s) / (s @ z)
    x = rng.normal(size=dim)
    score = -precision @ (x - 1.0)
    q = gaussian(history, jnp.array(x), jnp.array(score))
    columns = np.asarray(jax.vmap(q.at)(jnp.eye(dim)) - q.mean)
    np.testing.assert_allclose(columns.T @ columns, inverse, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(q.mean, x + inverse @ score, rtol=1e-9)
    y = rng.normal(size=dim)
    exact = multivariate_normal(np.asarray(q.mean), inverse).logpdf(y)
    assert float(q.log_density(jnp.array(y))) == pytest.approx(exact, rel=1e-9)


@pytest.mark.usefixtures("x64")
def test_as_many_steps_as_dimensions_along_the_axes_recover_a_precision_matrix():
    """Steps conjugate under the precision, as exact line searches make them, give its inverse whatever came first."""
    root = np.random.default_rng(1).normal(size=(4, 4))
    precision = root @ root.T + np.eye(4)
    conjugate = np.linalg.eigh(precision)[1].T
    history = forgotten(4, 4, jnp.zeros(()).dtype)
    for move in conjugate:
        history = remembered(history, jnp.array(move), jnp.array(precision @ move))
    q = gaussian(history, jnp.zeros(4), jnp.array(precision @ np.arange(4.0)))
    columns = np.asarray(jax.vmap(q.at)(jnp.eye(4)) - q.mean)
    np.testing.assert_allclose(columns.T @ columns, np.linalg.inv(precision), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(q.mean, np.arange(4.0), atol=1e-9)


def test_a_step_along_which_the_density_is_not_concave_is_forgotten():
    history = remembered(forgotten(2, 3, jnp.float32), jnp.array([1.0, 2.0]), jnp.array([2.0, 3.0]))
    for change in ([-1.0, -1.0], [2.0, -1.0], [0.0, 0.0], [jnp.nan, 1.0]):
        same = remembered(history, jnp.array([1.0, 2.0]), jnp.array(change))
        for a, b in zip(history, same, strict=True):
            np.testing.assert_array_equal(a, b)
