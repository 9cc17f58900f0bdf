"""Where the parameters of a distribution may lie, and the density outside: zero.

NumPyro knows the constraint of each parameter and evaluates its formula anyway where a parameter is outside, as for a
binomial probability of 1.3. A model gives such points no mass: they are no points of the joint density.
"""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool

from gmdsl.distributions.finite_scores import with_finite_scores
from gmdsl.distributions.recognise import is_distribution

SIMPLEX = 1e-3  # how far probabilities may sum from one, to be on the safe side of rounding
SYMMETRIC = 1e-3  # how far a matrix may be from its transpose, of its largest element


def parameters(distribution: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, constraint and value of every parameter, those of the distributions inside included.

    >>> import numpyro.distributions as dist
    >>> [(name, value) for name, _, value in parameters(dist.Normal(0.0, 2.0).expand([3]).to_event(1))]
    [('loc', 0.0), ('scale', 2.0)]
    """
    for name, constraint in getattr(distribution, "arg_constraints", {}).items():
        value = vars(distribution).get(name)
        if value is not None and type(constraint).__name__ != "_Dependent":
            yield name, constraint, value
    for part in _parts(distribution):
        yield from parameters(part)


def in_domain(distribution: Any, names: tuple[str, ...]) -> Bool[Array, "..."]:
    """Whether the parameters are inside, for each element of the batch; NaN is not outside.

    Args:
        distribution: a NumPyro distribution.
        names: the parameters that are looked at.
    """
    inside = jnp.ones((), bool)
    for name, constraint in getattr(distribution, "arg_constraints", {}).items():
        value = vars(distribution).get(name)
        if name in names and value is not None:
            inside = inside & _fit(_holds(constraint, jnp.asarray(value)), distribution)
    for part in _parts(distribution):
        inside = inside & _fit(in_domain(part, names), distribution)
    mask = vars(distribution).get("_mask")
    return inside if mask is None else inside | ~jnp.asarray(mask)


def log_prob(distribution: Any, value: Any, names: tuple[str, ...] = ()) -> Any:
    """The log-density of a value, -inf for elements whose parameters are outside of their constraint."""
    density = with_finite_scores(distribution).log_prob(value)
    return jnp.where(in_domain(distribution, names), density, -jnp.inf) if names else density


def _parts(distribution: Any) -> Iterator[Any]:
    """Distributions inside a distribution: what is transformed, mixed or expanded."""
    for held in vars(distribution).values():
        for part in held if isinstance(held, list | tuple) else (held,):
            if is_distribution(part):
                yield part


def _holds(constraint: Any, value: Any) -> Any:
    """Whether a constraint holds, one answer for each event of the parameter."""
    from numpyro.distributions import constraints

    rank = constraint.event_dim
    if constraint is constraints.simplex:
        return jnp.all(value >= 0, axis=-1) & (jnp.abs(jnp.sum(value, axis=-1) - 1) <= SIMPLEX) | _is_nan(value, 1)
    if rank >= 2 and type(constraint).__name__.startswith("_Positive"):  # a covariance, a precision
        other, size = jnp.swapaxes(value, -1, -2), jnp.max(jnp.abs(value), axis=(-1, -2))
        return jnp.max(jnp.abs(value - other), axis=(-1, -2)) <= SYMMETRIC * size
    if rank >= 2 and constraint is constraints.lower_cholesky:
        return jnp.all(jnp.diagonal(value, axis1=-2, axis2=-1) > 0, axis=-1) | _is_nan(value, 2)
    if rank >= 2:
        return jnp.ones((), bool)
    return jnp.asarray(constraint.check(value)) | _is_nan(value, rank)


def _is_nan(value: Any, rank: int) -> Any:
    return jnp.any(jnp.isnan(value), axis=tuple(range(-rank, 0))) if rank else jnp.isnan(value)


def _fit(inside: Any, distribution: Any) -> Any:
    """Answers for the batch of a distribution: axes that belong to its events are gathered."""
    extra = inside.ndim - len(distribution.batch_shape)
    return jnp.all(inside, axis=tuple(range(-extra, 0))) if extra > 0 else inside
