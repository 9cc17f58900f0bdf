"""A variable with a NumPyro distribution that is a function of its parents."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.distributions.closed import counted, with_closed_ends
from gmdsl.distributions.domain import in_domain, log_prob
from gmdsl.distributions.drawn import as_drawn
from gmdsl.distributions.finite_scores import with_finite_scores
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Call, Values
from gmdsl.spaces.bijections import from_support, to_support
from gmdsl.spaces.from_constraint import in_closure


class Distributed(Conditional):
    """A child with a NumPyro distribution that is a function of its parents.

    Batch dimensions of the distribution are independent copies: they are summed in the density and
    kept apart by `pointwise`.

    Attributes:
        child: the variable.
        call: makes the distribution from the parents.
        proper: False when the distribution is declared improper.
        guarded: parameters that the parents may put outside of their constraint, where the density is zero.
        closed: whether a value that lies at an end of a half-open support has the density that the formula gives there.
    """

    child: str = eqx.field(static=True)
    call: Call
    proper: bool = eqx.field(static=True, default=True)
    guarded: tuple[str, ...] = eqx.field(static=True, default=())
    closed: bool = eqx.field(static=True, default=False)

    @property
    def parents(self) -> tuple[str, ...]:
        return self.call.variables

    @property
    def children(self) -> tuple[str, ...]:
        return (self.child,)

    @property
    def normalized(self) -> bool:
        return self.proper

    @property
    def decoded_by_space(self) -> bool:
        return True

    @property
    def limited(self) -> tuple[str, ...]:
        return self.guarded

    def distribution(self, values: Values) -> Any:
        """The NumPyro distribution at given parents."""
        found = with_closed_ends(self.call(values)) if self.closed else self.call(values)
        labels = any(jnp.issubdtype(jnp.result_type(values[name]), jnp.integer) for name in self.parents)
        return with_finite_scores(found, labels=True) if labels else found

    def log_prob(self, distribution: Any, value: Any) -> Any:
        """The log-density of a value element by element, -inf where a parameter is outside of its constraint."""
        found = log_prob(distribution, value, self.guarded)
        return jnp.where(self._reached(distribution, value), found, -jnp.inf) if self.closed else found

    def allowed(self, distribution: Any, value: Any, terms: Any) -> Any:
        """Terms of a value with gaps (NaN): -inf where a parameter, or what was observed, is outside of its domain."""
        if self.guarded:
            terms = jnp.where(in_domain(distribution, self.guarded), terms, -jnp.inf)
        return jnp.where(self._reached(distribution, value), terms, -jnp.inf) if self.closed else terms

    def _reached(self, distribution: Any, value: Any) -> Any:
        """Whether a value lies in the support or at its ends; gaps and masked elements may be anything."""
        mask, there = counted(distribution), ~jnp.isnan(value)
        return in_closure(distribution.support, value, there if mask is None else there & mask)

    def log_density(self, values: Values) -> Float[Array, ""]:
        return jnp.sum(self.log_prob(self.distribution(values), values[self.child]))

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        return {self.child: as_drawn(self.distribution(values), key, shape)}

    def pointwise(self, values: Values) -> dict[str, Array]:
        return {self.child: self.log_prob(self.distribution(values), values[self.child])}

    def decode(self, values: Values, free: Values) -> tuple[dict[str, Any], Float[Array, ""]]:
        distribution = self.distribution(values)
        if self.child not in free:
            return {}, jnp.sum(self.log_prob(distribution, values[self.child]))
        _refuse_atoms(self, distribution)
        value, jacobian = to_support(distribution.support, free[self.child])
        density = jnp.sum(self.log_prob(distribution, value))
        return {self.child: value}, density if jacobian is None else density + jacobian

    def term_of_free(self, values: Values) -> Float[Array, ""]:
        distribution = self.distribution(values)
        _refuse_atoms(self, distribution)
        return jnp.sum(self.log_prob(distribution, values[self.child]))

    def encode(self, values: Values, children: tuple[str, ...]) -> dict[str, Any]:
        if self.child not in children:
            return {}
        return {self.child: from_support(self.distribution(values).support, values[self.child])}

    def rename(self, names: Mapping[str, str]) -> "Distributed":
        child, call = names.get(self.child, self.child), self.call.rename(names)
        return Distributed(child, call, self.proper, self.guarded, self.closed)


def _refuse_atoms(factor: Distributed, distribution: Any) -> None:
    """A free variable with mass on single points has no density to move along."""
    inner = distribution
    while inner is not None:
        if getattr(inner, "has_atoms", False):
            raise SpecError(
                f"{factor.name}: {factor.child} is free, but it is censored: a part of its mass sits on the bounds."
                f" Condition on {factor.child}, or declare the value before censoring."
            )
        inner = getattr(inner, "base_dist", None)
