import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array

from gmdsl.exact.conditionals.two_values import bit_odds

RNG = np.random.default_rng(0)


def test_odds_are_differences_of_the_density(x64):
    J, h = RNG.normal(size=(5, 5)), RNG.normal(size=5)
    J = J + J.T
    first, gap = np.array([-1.0, 0.0, 2.0, -1.0, 0.0]), np.array([2.0, 1.0, 0.5, 2.0, 3.0])
    pairs = csr_array(np.ones((5, 5), bool))
    density = lambda x: 0.5 * x @ J @ x + h @ x  # noqa: E731
    slopes = jnp.asarray(h + np.diag(J) * (first + 0.5 * gap))
    base, gains = bit_odds(pairs, slopes, jnp.asarray(J.ravel()), first, gap)
    for up in RNG.integers(0, 2, (6, 5)):
        for i in range(5):
            low, high = (first + gap * np.where(np.arange(5) == i, value, up) for value in (0, 1))
            found = base[i] + np.asarray(gains).reshape(5, 5)[i] @ up
            np.testing.assert_allclose(found, density(high) - density(low), atol=1e-12)
