"""From unconstrained values to a space and back, with the log-determinant of the Jacobian."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.spaces.space import Real, Space


def decoded(space: Space, free: Any) -> tuple[Any, Float[Array, ""] | None]:
    """A value in a space from an unconstrained one, and log |det J| (None when it is zero)."""
    return (free, None) if isinstance(space, Real) or space.discrete else to_support(space.constraint, free)


def encoded(space: Space, value: Any) -> Any:
    """The unconstrained value of a value in a space."""
    return jnp.asarray(value) if isinstance(space, Real) or space.discrete else from_support(space.constraint, value)


def to_support(constraint: Any, free: Any) -> tuple[Any, Float[Array, ""] | None]:
    """A value in the support from an unconstrained one, and log |det J| (None when it is zero)."""
    if _is_real(constraint) or constraint.is_discrete:
        return free, None
    from numpyro.distributions import biject_to

    transform = biject_to(constraint)
    value = transform(free)
    return value, jnp.sum(transform.log_abs_det_jacobian(free, value))


def from_support(constraint: Any, value: Any) -> Any:
    """The unconstrained value of a value in the support."""
    if _is_real(constraint) or constraint.is_discrete:
        return value
    from numpyro.distributions import biject_to

    return biject_to(constraint).inv(value)


def _is_real(constraint: Any) -> bool:
    from numpyro.distributions import constraints

    while isinstance(constraint, constraints.independent):
        constraint = constraint.base_constraint
    return constraint in (constraints.real, constraints.real_vector, constraints.real_matrix)
