import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.inference.collectives import LANES, all_chains, max_over_lanes, mean_over_chains

X = np.arange(6.0).reshape(3, 2)


def test_chains_side_by_side_speak_of_all():
    over = lambda function: np.asarray(jax.vmap(function, axis_name=LANES)(X))  # noqa: E731
    np.testing.assert_array_equal(over(mean_over_chains), np.tile(X.mean(0), (3, 1)))
    np.testing.assert_array_equal(over(max_over_lanes), np.tile(X.max(0), (3, 1)))
    np.testing.assert_array_equal(over(all_chains), np.tile(X, (3, 1, 1)))


def test_a_chain_alone_speaks_of_itself():
    x = jnp.asarray(X[0])
    np.testing.assert_array_equal(mean_over_chains(x), X[0])
    np.testing.assert_array_equal(max_over_lanes(x), X[0])
    np.testing.assert_array_equal(all_chains((x, None))[0], X[:1])


def test_a_loop_whose_length_is_the_largest_of_all_chains_has_one_length():
    """The trip count is no longer batched, so nothing is masked in the loop."""

    def run(n):
        return jax.lax.fori_loop(0, max_over_lanes(n), lambda i, x: x + 1.0, 0.0)

    counts = jnp.array([2, 5, 3])
    np.testing.assert_array_equal(jax.vmap(run, axis_name=LANES)(counts), [5.0, 5.0, 5.0])
    text = str(jax.make_jaxpr(jax.vmap(run, axis_name=LANES))(counts))
    assert "select_n" not in text
