"""The generator Threefry written out: one number at a time, without a loop.

JAX rolls its rounds into a loop, which compiles faster where it is used for arrays and takes 60 ns for a single number,
a sixth of a leapfrog step of a small model. Written out it takes 3 ns. The bits are the same.

Reference:
    Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011, section 3.2.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt32

Word = UInt32[Array, "..."]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_GROUPS = 5  # of four rounds
ONE = np.uint32(0x3F800000)  # the bits of 1.0: with 23 random bits below, a number in [1, 2)


@jax.jit  # traced once
def threefry(key: tuple[Word, Word], counter: tuple[Word, Word]) -> tuple[Word, Word]:
    """The two words that Threefry 2x32 with 20 rounds makes of a key and a counter of two words each.

    Its 120 operations are those of `lax`, which are traced three times as fast as operators of arrays.

    >>> import jax.numpy as jnp
    >>> zero = jnp.uint32(0)
    >>> [hex(int(word)) for word in threefry((zero, zero), (zero, zero))]
    ['0x6b200159', '0x99ba4efe']
    """
    shape = jnp.broadcast_shapes(*(jnp.shape(word) for word in (*key, *counter)))
    number = lambda value: lax.full(shape, value, np.uint32)  # noqa: E731
    first, second, x, y = (jnp.broadcast_to(word, shape) for word in (*key, *counter))
    keys = (first, second, lax.bitwise_xor(lax.bitwise_xor(first, second), number(_PARITY)))
    shifts = {turn: (number(turn), number(32 - turn)) for turns in _ROTATIONS for turn in turns}
    x, y = lax.add(x, first), lax.add(y, second)
    for group in range(_GROUPS):
        for turn in _ROTATIONS[group % 2]:
            left, right = shifts[turn]
            x = lax.add(x, y)
            y = lax.bitwise_xor(lax.bitwise_or(lax.shift_left(y, left), lax.shift_right_logical(y, right)), x)
        x = lax.add(x, keys[(group + 1) % 3])
        y = lax.add(lax.add(y, keys[(group + 2) % 3]), number(group + 1))
    return x, y


def split(key: Array, count: int = 2) -> tuple[Array, ...]:
    """The keys that `jax.random.split` makes of one."""
    if not written_out(key):
        return tuple(jax.random.split(key, count))
    zero = jnp.uint32(0)
    pairs = [jnp.stack(threefry(_words(key), (zero, jnp.uint32(number)))) for number in range(count)]
    return tuple(jax.random.wrap_key_data(pair, impl=jax.random.key_impl(key)) for pair in _fence(pairs))


def uniforms(key: Array, count: int, dtype: Any) -> tuple[Float[Array, ""], ...]:
    """Few numbers in [0, 1): those that `jax.random.uniform(key, (count,), dtype)` draws.

    Args:
        key: a random key; of another generator than Threefry, `jax.random.uniform` draws.
        count: how many.
        dtype: of the result; all but single precision is drawn by `jax.random.uniform`.
    """
    if not written_out(key, dtype):
        drawn = jax.random.uniform(key, (count,), dtype)
        return tuple(drawn[i] for i in range(count))
    words, zero = _words(key), jnp.uint32(0)
    pairs = [threefry(words, (zero, jnp.uint32(number))) for number in range(count)]
    return tuple(unit(word) for word in _fence([x ^ y for x, y in pairs]))


def random_words(key: Array, number: Any, count: int) -> UInt32[Array, " count"]:
    """Many words of 32 random bits, other ones for each number.

    Args:
        key: a random key, of any generator.
        number: a whole number below 2^32.
        count: how many.

    >>> one, other = random_words(jax.random.key(0), 7, 5), random_words(jax.random.key(0), 8, 5)
    >>> len({*one.tolist(), *other.tolist()})
    10
    """
    return word_rows(key_words(key), number, count)


def word_rows(words: tuple[Word, Word], number: Any, count: int, first: Any = 0) -> UInt32[Array, "count ..."]:
    """Rows of words of 32 random bits, a column for each of some keys: that of one does not depend on the others.

    Args:
        words: of the keys.
        number: a whole number below 2^32, other ones for other rows.
        count: rows.
        first: where they begin, so that rows apart may be drawn one after the other.

    >>> two = jnp.array([1, 2], "uint32"), jnp.array([3, 4], "uint32")
    >>> one = jnp.array([2], "uint32"), jnp.array([4], "uint32")
    >>> bool((word_rows(two, 7, 5)[:, 1:] == word_rows(one, 7, 5)).all())
    True
    """
    places = (jnp.arange(-(-count // 2), dtype=jnp.uint32) + jnp.asarray(first, jnp.uint32)).reshape(
        -1, *[1] * words[0].ndim
    )
    pair = _fence(list(threefry(words, (places, jnp.asarray(number).astype(jnp.uint32)))))
    return jnp.concatenate(pair)[:count]


def key_words(key: Array) -> tuple[Word, Word]:
    """The two words of a key; of another generator than Threefry, two that it draws."""
    if written_out(key):
        return _words(key)
    words = jax.random.bits(key, (2,), np.uint32)
    return words[0], words[1]


def unit(bits: Word) -> Float[Array, "..."]:
    """A number in [0, 1) in single precision from 32 random bits."""
    return jax.lax.bitcast_convert_type((bits >> 9) | ONE, jnp.float32) - np.float32(1.0)


def _fence(words: list[Array]) -> list[Array]:
    """The same words, which XLA does not compute again inside of the loops over arrays that use them.

    Below LLVM's highest level nothing moves them out of there, and its vectorizer asks of each number whether it is the
    same in all passes of the loop by asking its operands, both of them at each of twenty rounds: one program was not
    compiled after ten minutes.
    """
    return jax.lax.optimization_barrier(words)


def written_out(key: Array, dtype: Any = np.float32) -> bool:
    """Whether numbers of this dtype are made here from one key, and not by `jax.random`."""
    return np.dtype(dtype) == np.float32 and str(jax.random.key_impl(key)) == "threefry2x32" and key.ndim == 0


def _words(key: Array) -> tuple[Word, Word]:
    words = jax.random.key_data(key)
    return words[0], words[1]
