import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.random.threefry import key_words
from gmdsl.exact.conditionals.colour_loop import colour_sweeps


def test_colours_are_done_in_turn_each_from_what_the_ones_before_left():
    """Each variable becomes one more than the sum of the other colour: 0, 2 and 5, 1 go on as by hand."""
    keys = jax.vmap(key_words)(jax.random.split(jax.random.key(0), 2))
    colours = [np.array([2, 0]), np.array([1])]
    x = jnp.array([[0, 5], [2, 1], [0, 5]], jnp.int8)
    heights = lambda c, parts: jnp.broadcast_to(1.0 + parts[1 - c].sum(0), parts[c].shape)  # noqa: E731
    found, changed, broken = colour_sweeps(colours, 2, keys, x, heights, lambda found, words: found)
    np.testing.assert_array_equal(found, [[8, 6], [17, 13], [8, 6]])
    np.testing.assert_array_equal(changed, [6, 6])
    assert not broken.any()
    nowhere = lambda c, parts: jnp.full(parts[c].shape, 1.0).at[0, 1].set(jnp.nan)  # noqa: E731
    broken = colour_sweeps(colours, 1, keys, x, nowhere, lambda found, words: jnp.nan_to_num(found))[2]
    np.testing.assert_array_equal(broken, [False, True])
