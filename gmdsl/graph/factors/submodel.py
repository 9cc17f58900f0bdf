"""Conditionals that hold whole models inside.

The names inside are their own: pairs (inside, outside) tie them to the variables of the model
around, so renaming outside never reaches in, and names inside cannot clash.
"""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.graph.factor import Values
from gmdsl.graph.factors.declared import Declared
from gmdsl.spaces.layout import Layout
from gmdsl.spaces.space import Space

type Pairs = tuple[tuple[str, str], ...]


class Submodel(Declared):
    """A conditional whose children have declared spaces and whose density is computed by models inside.

    Attributes:
        parts: the models inside; the density is the sum of theirs by weight, all else in them integrated out.
        made: pairs (inside, outside) of the children.
        read: pairs (inside, outside) of the parents.
        spaces: the space of each child, in the order of `made`.
    """

    parts: eqx.AbstractVar[tuple[Any, ...]]
    made: eqx.AbstractVar[Pairs]
    read: eqx.AbstractVar[Pairs]
    spaces: eqx.AbstractVar[tuple[Space, ...]]

    @abc.abstractmethod
    def log_weights(self, inside: Values) -> Float[Array, " parts"]:
        """The logarithms of the weights of the parts, given values under the names inside."""

    @abc.abstractmethod
    def observations(self, values: Values) -> Array:
        """The log-density, kept apart where it is a sum over independent observations of one child."""

    @property
    def layout(self) -> Layout:
        return tuple((outside, space) for (_, outside), space in zip(self.made, self.spaces, strict=True))

    @property
    def parents(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(outside for _, outside in self.read))

    def pointwise(self, values: Values) -> dict[str, Array]:
        """The observations of the only child; several children have no term each."""
        return {self.children[0]: self.observations(values)} if len(self.made) == 1 else {}

    def inside(self, values: Values) -> dict[str, Any]:
        """The values that are there, under the names of the models inside."""
        return {inner: values[outer] for inner, outer in (*self.read, *self.made) if outer in values}

    def rename(self, names: Mapping[str, str]) -> Self:
        def outside(pairs: Pairs) -> Pairs:
            return tuple((inner, names.get(outer, outer)) for inner, outer in pairs)

        return dataclasses.replace(self, made=outside(self.made), read=outside(self.read))


def chosen(label: Array, options: list[dict[str, Any]]) -> dict[str, Array]:
    """The option of that number."""
    return {name: jnp.stack([option[name] for option in options])[label] for name in options[0]}
