"""What `gm.censored` and `gm.truncated` ask of a distribution and of its bounds."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gmdsl.core.errors import SpecError
from gmdsl.distributions.log_tails import log_tails


def checked_bounds(verb: str, base: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """The bounds, None where there is none.

    Raises:
        SpecError: the distribution is not univariate or has no cdf, no bound, bounds out of order.
    """
    kind = type(base).__name__
    if not hasattr(base, "log_prob") or isinstance(base, type):
        raise SpecError(f"{verb}(...): a NumPyro distribution is needed, not {kind}.")
    if tuple(base.event_shape):
        raise SpecError(
            f"{verb}({kind}, ...): its events have shape {tuple(base.event_shape)}, but a bound cuts single numbers."
            f" Bound each element: leave .to_event out."
        )
    low, high = (_none_if_infinite(verb, low, -np.inf), _none_if_infinite(verb, high, np.inf))
    if low is None and high is None:
        raise SpecError(f"{verb}({kind}): no bound was given. Pass low=, high= or both.")
    if low is not None and high is not None and _known_bounds(low) and _known_bounds(high) and not np.all(low < high):
        raise SpecError(f"{verb}({kind}, low={low}, high={high}): low is not below high. Swap them.")
    try:
        jax.eval_shape(lambda: log_tails(base, base.support.feasible_like(jnp.zeros(base.batch_shape))))
    except NotImplementedError as error:
        raise SpecError(f"{verb}({kind}, ...): NumPyro's {kind} has no cdf, so its tails are not known.") from error
    return low, high


def batch_shape(base: Any, *bounds: Any) -> tuple[int, ...]:
    """The common batch shape of a distribution and its bounds."""
    return np.broadcast_shapes(tuple(base.batch_shape), *(np.shape(bound) for bound in bounds if bound is not None))


def _none_if_infinite(verb: str, bound: Any, infinity: float) -> Any:
    if bound is None or not _known_bounds(bound):
        return bound
    if np.isnan(bound).any():
        raise SpecError(f"{verb}(...): a bound is NaN. Pass numbers, infinite where nothing is cut.")
    return None if np.all(np.asarray(bound) == infinity) else bound


def _known_bounds(bound: Any) -> bool:
    return not isinstance(bound, Tracer)
