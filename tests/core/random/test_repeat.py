import jax
import numpy as np

from gmdsl.core.random.repeat import repeated


def test_repeated_draws_are_independent_and_shaped():
    draws = repeated(lambda key: {"x": jax.random.normal(key)}, jax.random.key(0), (2, 3))
    rows = [jax.random.split(key, 3) for key in jax.random.split(jax.random.key(0), 2)]
    np.testing.assert_allclose(draws["x"], [[jax.random.normal(key) for key in row] for row in rows], rtol=1e-6)
    assert len(np.unique(draws["x"])) == 6


def test_results_are_those_at_the_split_keys_and_one_alone_is_that_at_the_key():
    key = jax.random.key(3)
    draw = lambda key: jax.random.normal(key, (2,))  # noqa: E731
    np.testing.assert_array_equal(repeated(draw, key, ()), draw(key))
    each = [draw(k) for k in jax.random.split(key, 4)]
    np.testing.assert_allclose(repeated(draw, key, (4,)), each, rtol=1e-6)
