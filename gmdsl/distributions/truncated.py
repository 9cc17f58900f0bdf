r"""Truncated values: what lies beyond a bound was never seen, $p(x \mid a \le x \le b) = p(x) / (F(b) - F(a))$.

The mass between the bounds is computed from the tail that is smaller, so that it keeps its digits far out.

Reference:
    Robert, *Simulation of truncated normal variables*, Statistics and Computing, 1995.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.core import Tracer
from jaxtyping import Array
from numpyro.distributions import constraints

from gmdsl.core.errors import SpecError
from gmdsl.distributions.bounds import batch_shape, checked_bounds
from gmdsl.distributions.log_density import log_density
from gmdsl.distributions.log_tails import Tails, log_difference, log_tails
from gmdsl.distributions.normal_interval import distance_with, far_bound, log_ratio


class Truncated(dist.Distribution):
    """A distribution restricted to an interval, bounds included. Made by `gm.truncated`.

    Attributes:
        base_dist: the distribution before it is restricted.
        low: the lower bound; None for that of the base.
        high: the upper bound; None for that of the base.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    pytree_data_fields = ("base_dist", "low", "high")

    def __init__(self, base_dist: Any, low: Any = None, high: Any = None):
        self.base_dist, self.low, self.high = base_dist, low, high
        super().__init__(batch_shape=batch_shape(base_dist, low, high))

    @property
    def support(self) -> Any:
        """The interval between the bounds, of the kind that the two ends make."""
        base = self.base_dist.support
        low: Any = getattr(base, "lower_bound", None) if self.low is None else self.low
        high: Any = getattr(base, "upper_bound", None) if self.high is None else self.high
        if base.is_discrete:
            if high is None:
                return constraints.integer_greater_than(low)
            return constraints.integer_interval(low, high)
        if low is not None and high is not None:
            return constraints.interval(low, high)
        return constraints.greater_than_eq(low) if high is None else constraints.less_than_eq(high)

    def log_prob(self, value: Any, *args: Any, **kwargs: Any) -> Array:
        inside = jnp.ones((), bool)
        inside = inside if self.low is None else inside & (value >= self.low)
        inside = inside if self.high is None else inside & (value <= self.high)
        somewhere = self.high if self.low is None else self.low
        at = jnp.where(inside, value, somewhere)
        found = log_density(self.base_dist, at) - self._log_mass()
        normal = _normal_base(self.base_dist)
        if normal is not None:
            z, width, start, sign = far_bound(normal.loc, normal.scale, self.low, self.high)
            far, distance = z > 0, sign * (at - start) / normal.scale
            exact = log_ratio(jnp.where(far, z, 1.0), width, jnp.where(far, distance, 0.0)) - jnp.log(normal.scale)
            found = jnp.where(far, exact, found)
        return jnp.where(inside, found, -jnp.inf)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        shape = (*sample_shape, *self.batch_shape)
        share = jax.random.uniform(key, shape, minval=jnp.finfo(jnp.result_type(float)).tiny)
        (below_low, above_low), (below_high, above_high) = self._tails()
        near, far = jnp.log(share), jnp.log1p(-share)
        below = jnp.logaddexp(below_low + far, below_high + near)
        above = jnp.logaddexp(above_low + far, above_high + near)
        discrete = self.base_dist.support.is_discrete
        found = self._first_with(below, above) if discrete else self._point_with(below, above)
        normal = _normal_base(self.base_dist)
        if normal is not None:
            z, width, start, sign = far_bound(normal.loc, normal.scale, self.low, self.high)
            beyond = start + sign * normal.scale * distance_with(jnp.where(z > 0, z, 1.0), width, share)
            found = jnp.where(z > 0, beyond, found)
        return jnp.clip(found, self.low, self.high)

    def _point_with(self, log_below: Array, log_above: Array) -> Array:
        """The point with these tails, by bisection in unconstrained coordinates; the smaller tail decides."""
        to_support = dist.biject_to(self.support)
        most = 0.95 * math.log(float(jnp.finfo(log_below.dtype).max))

        def halve(_: int, ends: Tails) -> Tails:
            start, stop = ends
            middle = 0.5 * (start + stop)
            below, above = log_tails(self.base_dist, to_support(middle))
            right = jnp.where(log_below < log_above, below < log_below, above > log_above)
            # Without an upper end the coordinates run downwards.
            right = right if self._upwards else ~right
            return jnp.where(right, middle, start), jnp.where(right, stop, middle)

        ends = jnp.full_like(log_below, -most), jnp.full_like(log_below, most)
        start, stop = jax.lax.fori_loop(0, 70, halve, ends)
        return to_support(0.5 * (start + stop))

    @property
    def _upwards(self) -> bool:
        """Whether the unconstrained coordinate grows with the value."""
        return not isinstance(self.support, type(constraints.less_than_eq(0.0)))

    def _first_with(self, log_below: Array, log_above: Array) -> Array:
        """The first whole number with as much below, by bisection; the smaller tail decides."""
        support = self.support
        low = jnp.broadcast_to(jnp.asarray(support.lower_bound, int), log_below.shape)
        high = jnp.broadcast_to(jnp.asarray(getattr(support, "upper_bound", _MOST), int), log_below.shape)

        def halve(_: int, ends: Tails) -> Tails:
            low, high = ends
            middle = low + (high - low) // 2
            below, above = log_tails(self.base_dist, middle)
            enough = jnp.where(log_below < log_above, below >= log_below, above <= log_above)
            return jnp.where(enough, low, jnp.minimum(middle + 1, high)), jnp.where(enough, middle, high)

        return jax.lax.fori_loop(0, 31, halve, (low, high))[1]

    def _tails(self) -> tuple[Tails, Tails]:
        """Both log tails below and above the interval."""
        nothing, all_of_it = jnp.asarray(-jnp.inf), jnp.zeros(())
        start = self.low
        if start is not None and self.base_dist.support.is_discrete:
            start = jnp.ceil(start) - 1
        first = (nothing, all_of_it) if start is None else log_tails(self.base_dist, start)
        last = (all_of_it, nothing) if self.high is None else log_tails(self.base_dist, self.high)
        return first, last

    def _log_mass(self) -> Array:
        (below_low, above_low), (below_high, above_high) = self._tails()
        if self.low is None:
            return below_high
        if self.high is None:
            return above_low
        upper = above_low < below_low
        return log_difference(jnp.where(upper, above_low, below_high), jnp.where(upper, above_high, below_low))


def truncated(base: Any, low: Any = None, high: Any = None) -> Truncated:
    """A distribution restricted to the values between two bounds, and normalised there.

    Args:
        base: a univariate NumPyro distribution with a cdf. Draws invert it by bisection.
        low: lower bound in the units of the value, a number or an array.
        high: upper bound, likewise.

    Returns:
        A NumPyro distribution with the bounds as its support.

    Raises:
        SpecError: events, no cdf, no bound, bounds out of order, infinite bounds beside finite ones.

    >>> import numpyro.distributions as dist
    >>> round(float(truncated(dist.Normal(0.0, 1.0), low=30.0).log_prob(30.0)), 4)
    3.4023
    """
    low, high = checked_bounds("truncated", base, low, high)
    ends = (getattr(base.support, "lower_bound", None), getattr(base.support, "upper_bound", None))
    low, high = _inner("low", low, ends[0], 1), _inner("high", high, ends[1], -1)
    return base if low is None and high is None else Truncated(base, low, high)  # nothing is cut off


def _normal_base(base: Any) -> Any:
    """The normal law that is restricted, or None."""
    while type(base) is dist.ExpandedDistribution:
        base = base.base_dist
    return base if type(base) is dist.Normal else None


def _inner(which: str, bound: Any, end: Any, sign: int) -> Any:
    """The bound where it cuts something off, inside the support of the base; else None."""
    if bound is None:
        return None
    if not isinstance(bound, Tracer) and not np.isfinite(bound).all():
        raise SpecError(
            f"truncated(..., {which}={bound}): some bounds are infinite. Split the rows, or pass finite ones."
        )
    if end is None:
        return bound
    if isinstance(bound, Tracer) or isinstance(end, Tracer):
        return jnp.maximum(bound, end) if sign > 0 else jnp.minimum(bound, end)
    if np.all(sign * np.asarray(bound) <= sign * np.asarray(end)):
        return None
    return np.maximum(bound, end) if sign > 0 else np.minimum(bound, end)


_MOST = 2**30  # where the search for a draw from an unbounded discrete distribution ends
