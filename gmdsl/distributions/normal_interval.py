r"""A normal law between two bounds, counted from the bound that is nearer to the mean.

Far out both the density and the mass are near $e^{-z^2/2}$; their ratio is
$e^{-(z - z_a)(z + z_a)/2} / R(z_a)$ with Mills' ratio R, which has no large number in it. Below the mean, by symmetry.

Reference:
    Robert, *Simulation of truncated normal variables*, Statistics and Computing, 1995.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions.util import log1mexp

from gmdsl.distributions.special.log_integral import floats
from gmdsl.distributions.special.normal_tails import log_survival_ratio

_HALVINGS = 60


def far_bound(loc: Any, scale: Any, low: Any, high: Any) -> tuple[Array, Array, Array, Array]:
    """The bound to count from: its distance from the mean, the width, where it is, and which way is outwards.

    Args:
        loc: mean.
        scale: standard deviation.
        low: lower bound, or None.
        high: upper bound, or None.

    Returns:
        The distance in standard deviations, not above zero where the interval holds the mean; the width in the same
        unit, infinite where there is one bound; the bound; 1 for an interval above the mean, -1 below.
    """
    infinity = jnp.inf
    low, high, loc, scale = floats(-infinity if low is None else low, infinity if high is None else high, loc, scale)
    above = low - loc > loc - high
    start, distance = jnp.where(above, low, high), jnp.where(above, low - loc, loc - high)
    bounded = jnp.isfinite(high - low)
    width = jnp.where(bounded, jnp.where(bounded, high - low, 1.0) / scale, infinity)
    return distance / scale, width, start, jnp.where(above, 1.0, -1.0)


def log_ratio(z: Array, width: Array, distance: Array) -> Array:
    """The log-density at a distance beyond the bound over the mass of the interval, for a scale of one.

    Args:
        z: the bound, above zero.
        width: of the interval.
        distance: of the value from the bound.
    """
    return -distance * (z + 0.5 * distance) - _log_mass(z, width)


def distance_with(z: Array, width: Array, share: Array) -> Array:
    """How far beyond the bound the value lies that has this share of the mass farther out; by bisection."""
    whole = _log_mass(z, width)
    beyond = jnp.where(jnp.isfinite(width), _log_beyond(z, jnp.where(jnp.isfinite(width), width, 1.0)), -jnp.inf)
    wanted = jnp.logaddexp(jnp.log(share) + whole, beyond)
    last = jnp.broadcast_to(jnp.log(jnp.minimum(width, 60.0)), wanted.shape)

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = 0.5 * (ends[0] + ends[1])
        nearer = _log_beyond(z, jnp.exp(middle)) > wanted
        return jnp.where(nearer, middle, ends[0]), jnp.where(nearer, ends[1], middle)

    start, stop = jax.lax.fori_loop(0, _HALVINGS, halve, (last - 80.0, last))
    return jnp.exp(0.5 * (start + stop))


def _log_beyond(z: Array, distance: Array) -> Array:
    """Log of the mass beyond z + distance, over the density at z."""
    return log_survival_ratio(z + distance) - distance * (z + 0.5 * distance)


def _log_mass(z: Array, width: Array) -> Array:
    """Log of the mass of the interval, over the density at z."""
    bounded = jnp.isfinite(width)
    inner = jnp.where(bounded, width, 1.0)
    whole = log_survival_ratio(z)
    cut = whole + log1mexp(jnp.minimum(_log_beyond(z, inner) - whole, -jnp.finfo(z.dtype).tiny))
    return jnp.where(bounded, cut, whole)
