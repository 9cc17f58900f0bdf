r"""A random subset of rows, uniform over all subsets of its size, in random order.

Rows are drawn independently, and a place whose row an earlier place holds is drawn again until all differ. Nothing in
this prefers one row to another, so the law stays the same when rows are renamed, and every arrangement of different
rows is as likely as any other: the order is random, too, which matters to those who treat the places of a batch
differently (times of noise spread evenly over it). The work grows with the size of the subset and not with the number
of rows. More than half of the rows are taken off a random permutation.

Reference:
    Knuth, *The Art of Computer Programming*, volume 2, section 3.4.2.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

TABLE = 64  # rows per place up to which a table of all rows finds repeats faster than sorting does


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
    repeats = _repeats_by_table if rows <= TABLE * size else _repeats_by_sorting
    key_first, key_again = jax.random.split(key)
    first = jax.random.randint(key_first, (size,), 0, rows)

    def again(at: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        turn, chosen, repeated = at
        fresh = jax.random.randint(jax.random.fold_in(key_again, turn), (size,), 0, rows)
        chosen = jnp.where(repeated, fresh, chosen)
        return turn + 1, chosen, repeats(chosen, rows)

    return jax.lax.while_loop(lambda at: at[2].any(), again, (jnp.int32(0), first, repeats(first, rows)))[1]


def _repeats_by_table(chosen: Int[Array, " size"], rows: int) -> Bool[Array, " size"]:
    """Which places hold a row that an earlier one holds, by a table of the first place of each row."""
    places = jnp.arange(chosen.size)
    first = jnp.full(rows, chosen.size).at[chosen].min(places)
    return first[chosen] != places


def _repeats_by_sorting(chosen: Int[Array, " size"], rows: int) -> Bool[Array, " size"]:
    """Which places hold a row that an earlier one holds, by a stable sort."""
    del rows
    ordered, places = jax.lax.sort((chosen, jnp.arange(chosen.size)), num_keys=1, is_stable=True)
    repeated = jnp.concatenate([jnp.zeros(1, bool), ordered[1:] == ordered[:-1]])
    return jnp.zeros(chosen.size, bool).at[places].set(repeated, unique_indices=True)
