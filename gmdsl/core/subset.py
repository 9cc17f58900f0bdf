r"""A random subset of rows, uniform over all subsets of its size.

Rows are drawn independently, and those that were there already are drawn again until all differ. Nothing in this
prefers one row to another, so every subset is as likely as any other; the work grows with the size of the subset and
not with the number of rows. At the end they are shuffled, because what reads a batch may treat its places differently
(times of noise spread evenly over it). More than half of the rows are taken off a random permutation.

Reference:
    Knuth, *The Art of Computer Programming*, volume 2, section 3.4.2.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int


def subset(key: Array, rows: int, size: int) -> Int[Array, " size"]:
    """The numbers of `size` different rows out of `rows`, in random order.

    Args:
        key: a random key.
        rows: how many rows there are.
        size: how many are chosen, at most all of them.

    >>> import jax
    >>> sorted(subset(jax.random.key(0), 5, 5).tolist())
    [0, 1, 2, 3, 4]
    """
    if 2 * size > rows:
        return jax.random.permutation(key, rows)[:size]
    key_first, key_again, key_order = jax.random.split(key, 3)
    first = jnp.sort(jax.random.randint(key_first, (size,), 0, rows))

    def again(at: tuple[Array, Array]) -> tuple[Array, Array]:
        turn, chosen = at
        fresh = jax.random.randint(jax.random.fold_in(key_again, turn), (size,), 0, rows)
        return turn + 1, jnp.sort(jnp.where(_repeats(chosen), fresh, chosen))

    chosen = jax.lax.while_loop(lambda at: _repeats(at[1]).any(), again, (jnp.int32(0), first))[1]
    return jax.random.permutation(key_order, chosen)


def _repeats(chosen: Array) -> Array:
    """Which of sorted numbers are equal to the one before."""
    return jnp.concatenate([jnp.zeros(1, bool), chosen[1:] == chosen[:-1]])
