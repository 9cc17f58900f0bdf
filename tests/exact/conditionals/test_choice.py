import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.exact.conditionals.choice import chosen, higher_chosen


def test_values_are_drawn_with_their_probabilities():
    """Each of the 2^16 highest halves of a word once: frequencies are exact to 2^-16."""
    words = (jnp.arange(2**16, dtype=jnp.uint32) << 16) + jnp.uint32(2**15)
    for chances in ([0.2, 0.8], [0.7, 0.3], [0.1, 0.0, 0.35, 0.55], [1.0, 0.0, 0.0]):
        heights = jnp.log(jnp.asarray(chances))[:, None] + 3.0
        drawn = np.asarray(chosen(jnp.broadcast_to(heights, (len(chances), 2**16)), words))
        counts = np.bincount(drawn, minlength=len(chances)) / 2**16
        np.testing.assert_allclose(counts, chances, atol=2.0**-15)


def test_rare_values_are_drawn_down_to_the_last_bit():
    odds = jnp.log(jnp.asarray(1.5 * 2.0**-32))
    words = jnp.array([0, 1, 2, 3, 2**32 - 1], jnp.uint32)
    assert higher_chosen(odds, words).tolist() == [True, True, False, False, False]
    assert higher_chosen(-odds, words).tolist() == [False, False, True, True, True]


def test_what_is_impossible_is_never_drawn():
    words = jnp.array([0, 1, 2**31, 2**32 - 1], jnp.uint32)
    low = jnp.array([[-jnp.inf], [0.0], [jnp.nan], [-jnp.inf]])
    assert chosen(jnp.broadcast_to(low, (4, 4)), words).tolist() == [1] * 4
    for first, second, expected in ((0.0, -jnp.inf, 0), (-jnp.inf, 0.0, 1), (jnp.nan, 0.0, 1), (0.0, jnp.nan, 0)):
        heights = jnp.broadcast_to(jnp.array([[first], [second]]), (2, 4))
        assert chosen(heights, words).tolist() == [expected] * 4


def test_double_precision_draws_the_same_from_the_same_words(x64):
    words = jax.random.bits(jax.random.key(0), (1000,), np.uint32)
    odds = jnp.linspace(-6.0, 6.0, 1000)
    single = higher_chosen(odds.astype(jnp.float32), words)
    assert int((single != higher_chosen(odds, words)).sum()) == 0
