r"""Laws on half-open supports, with the density at the end.

A constraint such as `positive` leaves the end out, and NumPyro's density there is zero. For a variable that is moved to
the real line this makes no difference. An observed value may lie at the end: a waiting time of 0 under
$\lambda e^{-\lambda x}$ has the density $\lambda$, the limit from inside.
"""

import copy
import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import gammaln

from gmdsl.distributions.recognise import is_distribution


def with_closed_ends(distribution: Any) -> Any:
    """A copy of a law whose density at an end of the support is what its formula gives there.

    >>> import numpyro.distributions as dist
    >>> float(with_closed_ends(dist.Exponential(1.0)).log_prob(0.0))
    0.0
    """
    same = copy.copy(distribution)
    changes: dict[str, Any] = {"_validate_args": False}
    for kind, method in _formulas().items():
        if isinstance(distribution, kind):
            changes["log_prob"] = functools.partial(method, distribution)
    for name, held in vars(distribution).items():
        if is_distribution(held):
            changes[name] = with_closed_ends(held)
        elif isinstance(held, list | tuple) and held and all(map(is_distribution, held)):
            changes[name] = type(held)(with_closed_ends(part) for part in held)
    vars(same).update(changes)
    return same


def counted(law: Any) -> Any:
    """Which elements of a draw have a term, in the shape of the law; None where there is no mask."""
    from numpyro.distributions import ExpandedDistribution, Independent, MaskedDistribution

    if isinstance(law, Independent):
        return counted(law.base_dist)
    if isinstance(law, ExpandedDistribution):
        inner = counted(law.base_dist)
        return None if inner is None else jnp.broadcast_to(inner, law.shape())
    if not isinstance(law, MaskedDistribution) or law._mask is True:
        return None
    own = jnp.broadcast_to(law._mask, law.batch_shape).reshape(*law.batch_shape, *(1,) * law.event_dim)
    inner = counted(law.base_dist)
    return jnp.broadcast_to(own if inner is None else own & inner, law.shape())


@functools.cache
def _formulas() -> dict[type, Callable[..., Any]]:
    """Families whose formula is zero times infinity at the end, by class."""
    from numpyro import distributions as dist

    return {dist.Gamma: _gamma, dist.Weibull: _weibull}


def _gamma(law: Any, value: Any) -> Any:
    a, rate = law.concentration, law.rate
    return a * jnp.log(rate) - gammaln(a) - rate * value + _power(a - 1.0, value)


def _weibull(law: Any, value: Any) -> Any:
    k, scale = law.concentration, law.scale
    inside = value > 0
    hazard = jnp.where(inside, jnp.where(inside, value / scale, 1.0) ** k, 0.0)
    return jnp.log(k) - k * jnp.log(scale) + _power(k - 1.0, value) - hazard


def _power(exponent: Any, value: Any) -> Any:
    r"""$a \log x$, with its limit at 0, and with slopes that are finite where it is."""
    inside = value > 0
    found = exponent * jnp.log(jnp.where(inside, value, 1.0))
    limit = jnp.where(exponent == 0, 0.0, jnp.where(exponent > 0, -jnp.inf, jnp.inf))
    return jnp.where(inside, found, limit)
