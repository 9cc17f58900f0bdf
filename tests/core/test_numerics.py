import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp, softmax

from gmdsl.core.numerics import safe_logsumexp


def test_sums_of_nothing_stay_nothing_and_do_not_move():
    rows = jnp.array([[-jnp.inf, -jnp.inf], [0.0, -jnp.inf]])
    np.testing.assert_array_equal(safe_logsumexp(rows), [-np.inf, 0.0])
    slopes = jax.grad(lambda r: jnp.sum(jnp.exp(safe_logsumexp(r))))(rows)
    np.testing.assert_array_equal(slopes, [[0.0, 0.0], [1.0, 0.0]])


def test_sums_are_those_of_scipy_and_their_slopes_the_shares(x64):
    rows = np.array([[700.0, 701.0, -np.inf], [-800.0, -801.0, -802.0]])
    np.testing.assert_allclose(safe_logsumexp(jnp.asarray(rows)), logsumexp(rows, axis=1), rtol=1e-14)
    slopes = jax.grad(lambda r: jnp.sum(safe_logsumexp(r)))(jnp.asarray(rows))
    np.testing.assert_allclose(slopes, softmax(rows, axis=1), rtol=1e-12)
