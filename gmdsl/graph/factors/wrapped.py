"""Conditionals around a conditional: other terms of the density, the same draws."""

import dataclasses
from typing import Any, Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Factor, Values


class Wrapped(Conditional):
    """A conditional of one observed child with other terms than the conditional it wraps; it draws as that does.

    Attributes:
        base: the conditional of the whole child.
    """

    base: eqx.AbstractVar[Conditional]

    @property
    def inner(self) -> Conditional:
        return self.base

    def around(self, inner: Factor) -> Self:
        return dataclasses.replace(self, base=inner)

    @property
    def parents(self) -> tuple[str, ...]:
        return self.base.parents

    @property
    def children(self) -> tuple[str, ...]:
        return self.base.children

    @property
    def drawable(self) -> bool:
        return self.base.drawable

    def log_density(self, values: Values) -> Float[Array, ""]:
        return jnp.sum(self.pointwise(values)[self.children[0]])

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        return self.base.draw(key, values, shape)

    def decode(self, values: Values, free: Values) -> tuple[dict[str, Any], Float[Array, ""]]:
        if self.children[0] not in free:
            return {}, self.log_density(values)
        found, whole = self.base.decode(values, free)
        have = {**values, **found}
        return found, whole - self.base.log_density(have) + self.log_density(have)

    def encode(self, values: Values, children: tuple[str, ...]) -> dict[str, Any]:
        return self.base.encode(values, children)


def unwrapped(factor: Factor) -> Factor:
    """The conditional inside: of the whole child, without gaps and weights."""
    while isinstance(factor, Wrapped):
        factor = factor.base
    return factor


def innermost(factor: Factor) -> Factor:
    """What a factor is made of, without powers, gaps and weights."""
    while (inner := factor.inner) is not None:
        factor = inner
    return factor


def with_innermost(factor: Factor, innermost: Factor) -> Factor:
    """A factor with something else inside its powers, gaps and weights."""
    inner = factor.inner
    return innermost if inner is None else factor.around(with_innermost(inner, innermost))
