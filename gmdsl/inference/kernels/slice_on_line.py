r"""A slice on a line: a point drawn uniformly among those of a line through the present one that lie above a level.

An interval of width w that holds t = 0 is put down at random and stepped out until both ends lie below the level, then
shrunk towards 0 until a point drawn from it lies above. What lies outside of a hard constraint has height -inf, so that
constraints need no rejection.

Reference:
    Neal, *Slice sampling*, Annals of Statistics 31, 2003, figures 3 and 5.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

SHRINKS = 100  # after so many the interval is as narrow as rounding


class LinePoint(NamedTuple):
    """A point on the line.

    Attributes:
        t: its place; 0 where none was found, as rounding may have it.
        height: the height there.
        found: whether one was found.
        count: how many heights were asked for.
        broken: whether one of them was NaN.
    """

    t: Float[Array, ""]
    height: Float[Array, ""]
    found: Array
    count: Int[Array, ""]
    broken: Array


def slice_on_line(
    keys: tuple[Array, Array, Array],
    height: Callable[[Float[Array, ""]], Float[Array, ""]],
    level: Float[Array, ""],
    width: Any,
    most_steps_out: int,
) -> LinePoint:
    """A point above the level on a line whose point t = 0 lies above it.

    Args:
        keys: for the place of the interval, how steps are shared between its sides, and the points in it.
        height: of the point t.
        level: points at or above it count.
        width: of the first interval, in units of t.
        most_steps_out: how often the interval is widened at most, both sides together.

    >>> keys = tuple(jax.random.split(jax.random.key(0), 3))
    >>> found = slice_on_line(keys, lambda t: jnp.where(jnp.abs(t) < 0.1, 0.0, -jnp.inf), jnp.zeros(()), 2.0, 5)
    >>> bool(found.found), bool(abs(found.t) < 0.1)
    (True, True)
    """
    key_place, key_share, key_shrink = keys
    dtype = level.dtype
    start = -width * jax.random.uniform(key_place, dtype=dtype)
    lefts = jnp.floor(most_steps_out * jax.random.uniform(key_share, dtype=dtype)).astype(int)
    low, first = _stepped_out(height, level, start, -width, lefts)
    high, second = _stepped_out(height, level, start + width, width, most_steps_out - 1 - lefts)

    def outside(at: Any) -> Array:
        return ~(at[3] >= level) & (at[4] < SHRINKS)

    def shrink(at: Any) -> Any:
        low, high, _, _, count, broken = at
        t = jax.random.uniform(jax.random.fold_in(key_shrink, count), dtype=dtype, minval=low, maxval=high)
        value = height(t)
        inside = value >= level
        low, high = jnp.where(~inside & (t < 0), t, low), jnp.where(~inside & (t >= 0), t, high)
        return low, high, t, value, count + 1, broken | jnp.isnan(value)

    nothing = (jnp.zeros((), dtype), jnp.full((), -jnp.inf, dtype), jnp.zeros((), int), jnp.zeros((), bool))
    _, _, t, value, count, broken = jax.lax.while_loop(outside, shrink, (low, high, *nothing))
    found = value >= level
    return LinePoint(jnp.where(found, t, 0.0), value, found, count + first + second, broken)


def _stepped_out(height: Any, level: Array, end: Array, step: Any, most: Array) -> tuple[Array, Array]:
    """One end moved out until it lies below the level, and how often it was looked at."""

    def above(at: Any) -> Array:
        return (height(at[0]) > level) & (at[1] < most)

    end, count = jax.lax.while_loop(above, lambda at: (at[0] + step, at[1] + 1), (end, jnp.zeros((), int)))
    return end, count + 1
