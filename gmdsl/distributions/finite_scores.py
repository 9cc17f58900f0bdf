"""Log-densities that are -inf in a part of a sum, with scores that stay finite.

Where a label has no mass at the data, as a count of 3 at the rate 0 of a zero-inflated model or a negative value under
the gamma part of a mixture, its term is -inf and adds nothing. Reverse differentiation multiplies its zero weight by an
infinite slope, which is NaN. The slope is kept finite by a value or a parameter that is replaced before the formula.
At a closed end, as a beta with a concentration of one has at 0, the slope by the other parameters is the true one.
"""

import copy
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.scipy.special import gammaln

from gmdsl.distributions.recognise import is_distribution


def with_finite_scores(distribution: Any, *, labels: bool = False) -> Any:
    """The distribution, or a copy of the same law whose log-density has finite slopes where it is -inf.

    Args:
        distribution: a NumPyro distribution.
        labels: whether labels are among what it is made of, so that a rate or a probability may be exactly zero.

    >>> import jax, numpyro.distributions as dist
    >>> zero = lambda rate: with_finite_scores(dist.Poisson(0.0 * rate), labels=True).log_prob(3)
    >>> float(zero(1.0)), float(jax.grad(zero)(1.0))
    (-inf, 0.0)
    """
    kind = type(distribution)
    method = _at_ends().get(kind) or (_of_labels().get(kind) if labels else None)
    changes: dict[str, Any] = {} if method is None else {"log_prob": functools.partial(method, distribution)}
    for name, held in vars(distribution).items():
        if is_distribution(held) and name != "_mixing_distribution":
            part = with_finite_scores(held, labels=labels)
            if part is not held:
                changes[name] = part
    if not changes:
        return distribution
    same = copy.copy(distribution)
    vars(same).update(changes)
    return same


@functools.cache
def _at_ends() -> dict[type, Callable[..., Any]]:
    """Formulas of families that may be evaluated at an end of their support, by class."""
    from numpyro import distributions as dist

    return {
        dist.Beta: _beta,
        dist.Dirichlet: _dirichlet,
        dist.MixtureGeneral: _mixture,
        dist.TransformedDistribution: _transformed,
    }


@functools.cache
def _of_labels() -> dict[type, Callable[..., Any]]:
    """Formulas of families with a parameter that may be zero, by class."""
    from numpyro import distributions as dist
    from numpyro.distributions.discrete import BinomialLogits, GeometricProbs, MultinomialProbs

    return {
        dist.Poisson: _poisson,
        BinomialLogits: _binomial_logits,
        GeometricProbs: _geometric,
        MultinomialProbs: _multinomial,
    }


def _at(distribution: Any, value: Any, **parameters: Any) -> Any:
    """The log-density by NumPyro's formula for other parameters."""
    other = copy.copy(distribution)
    vars(other).update(parameters)
    return type(other).log_prob(other, value)


def _poisson(distribution: Any, value: Any) -> Any:
    rate, value = jnp.asarray(distribution.rate), jnp.asarray(value)
    zero = rate == 0
    density = _at(distribution, value, rate=jnp.where(zero, 1.0, rate))
    return jnp.where(zero, jnp.where(value == 0, -rate, -jnp.inf), density)


def _beta(distribution: Any, value: Any) -> Any:
    share = jnp.stack([value, 1.0 - jnp.asarray(value)], axis=-1)
    return _simplex(share, vars(distribution)["_dirichlet"].concentration)


def _dirichlet(distribution: Any, value: Any) -> Any:
    return _simplex(jnp.asarray(value), distribution.concentration)


def _simplex(share: Any, concentration: Any) -> Any:
    """The log-density of shares, some of which may be zero."""
    none, outside = share <= 0, share < 0
    terms = (concentration - 1.0) * jnp.log(jnp.where(none, 1.0, share))
    at_zero = jnp.where(outside | (concentration > 1), -jnp.inf, jnp.inf)
    terms = jnp.where(outside | none & (concentration != 1), at_zero, terms)
    constant = jnp.sum(gammaln(concentration), axis=-1) - gammaln(jnp.sum(concentration, axis=-1))
    return jnp.sum(terms, axis=-1) - constant


def _binomial_logits(distribution: Any, value: Any) -> Any:
    logits, total = jnp.asarray(distribution.logits), distribution.total_count
    sure = jnp.isinf(logits)
    density = _at(distribution, value, logits=jnp.where(sure, 0.0, logits))
    certain = jnp.where(logits > 0, total, 0)
    return jnp.where(sure, jnp.where(value == certain, 0.0, -jnp.inf), density)


def _geometric(distribution: Any, value: Any) -> Any:
    sure = jnp.asarray(distribution.probs) == 1
    density = _at(distribution, value, probs=jnp.where(sure, 0.5, distribution.probs))
    return jnp.where(sure, jnp.where(value == 0, 0.0, -jnp.inf), density)


def _multinomial(distribution: Any, value: Any) -> Any:
    zero = jnp.asarray(distribution.probs) == 0
    density = _at(distribution, value, probs=jnp.where(zero, 1.0, distribution.probs))
    return jnp.where(jnp.any(zero & (jnp.asarray(value) > 0), axis=-1), -jnp.inf, density)


def _mixture(distribution: Any, value: Any) -> Any:
    """The log-density of a mixture of parts with other supports, each evaluated inside of its own."""
    given = vars(distribution)["_support"] is not None  # elsewhere NumPyro takes all supports for the same one
    terms = [
        _inside(with_finite_scores(part), value) if given else with_finite_scores(part).log_prob(value)
        for part in distribution.component_distributions
    ]
    total = jnp.stack(terms, axis=-1) + jax.nn.log_softmax(distribution.mixing_distribution.logits)
    none = jnp.all(total == -jnp.inf, axis=-1)
    return jnp.where(none, -jnp.inf, jax.nn.logsumexp(jnp.where(none[..., None], 0.0, total), axis=-1))


def _transformed(distribution: Any, value: Any) -> Any:
    """The log-density of a law that was moved: what comes before it may be NaN where nothing arrives."""
    support = distribution.support
    moved = getattr(support, "lower_bound", None), getattr(support, "upper_bound", None)
    if not any(isinstance(bound, Tracer) for bound in moved):
        return _at(distribution, value)
    inside = support(value)
    there = jnp.where(inside, value, support.feasible_like(jnp.zeros(jnp.shape(inside))))
    return jnp.where(inside, _at(distribution, there), -jnp.inf)


def _inside(part: Any, value: Any) -> Any:
    """The log-density of one part, -inf outside of its support."""
    inside = jnp.asarray(part.support(value))
    shown = inside.reshape(*inside.shape, *[1] * part.event_dim)
    other = part.support.feasible_like(jnp.zeros(jnp.broadcast_shapes(jnp.shape(value), shown.shape)))
    return jnp.where(inside, part.log_prob(jnp.where(shown, value, other)), -jnp.inf)
