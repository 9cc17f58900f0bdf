import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.exact.conditionals.abreast import abreast

WIDTHS = []


def scaled(words, numbers, x):
    WIDTHS.append(x.shape[1])
    return numbers[:, None] * x + words[0], x.sum(0)


def chain(word, numbers, x):
    return abreast(scaled, (word, word), numbers, x)


def test_chains_are_columns_and_shared_numbers_are_not_copied():
    """What is mapped over: words and variables, words alone, and numbers too; each as for one chain after the other."""
    words, numbers, x = jnp.arange(4, dtype=jnp.uint32), jnp.arange(3.0), jnp.arange(12.0).reshape(4, 3)
    for axes, given, width in (
        ((0, None, 0), (words, numbers, x), 4),
        ((0, None, None), (words, numbers, x[0]), 4),
        ((0, 0, 0), (words, x + 1.0, x), 1),
    ):
        WIDTHS.clear()
        found = jax.vmap(chain, axes)(*given)
        assert WIDTHS[-1] == width
        for i in range(4):
            one = [part[i] if axis == 0 else part for part, axis in zip(given, axes, strict=True)]
            for wide, alone in zip(found, chain(*one), strict=True):
                np.testing.assert_array_equal(wide[i], alone)


def test_maps_may_be_nested():
    words, x = jnp.arange(6, dtype=jnp.uint32).reshape(2, 3), jnp.arange(18.0).reshape(2, 3, 3)
    numbers = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    found, _ = jax.vmap(jax.vmap(chain, (0, None, 0)))(words, numbers, x)
    np.testing.assert_array_equal(found, numbers[:, None] * x + words[..., None])
