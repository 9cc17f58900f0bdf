r"""Finitely many states, all equally likely: $p(s) = \prod_i 1 / k_i$ over the elements of discrete variables."""

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.graph.factor import Values
from gmdsl.graph.factors.declared import Declared
from gmdsl.spaces.layout import Layout
from gmdsl.spaces.space import Space


class UniformStates(Declared):
    """A discrete variable whose values are equally likely.

    Attributes:
        child: the variable.
        space: where it lives; finite.
    """

    child: str = eqx.field(static=True)
    space: Space = eqx.field(static=True)

    @property
    def layout(self) -> Layout:
        return ((self.child, self.space),)

    @property
    def parents(self) -> tuple[str, ...]:
        return ()

    def log_density(self, values: Values) -> Float[Array, ""]:
        numbers = (jnp.asarray(values[self.child]) - self.space.first) / self.space.gap
        there = (numbers >= 0) & (numbers < self._states) & (numbers == jnp.round(numbers))
        return jnp.sum(jnp.where(there, -math.log(self._states), -jnp.inf))

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        del values
        numbers = jax.random.randint(key, (*shape, *self.space.shape), 0, self._states)
        return {self.child: self.space.first + self.space.gap * numbers}

    def rename(self, names: Mapping[str, str]) -> "UniformStates":
        return UniformStates(names.get(self.child, self.child), self.space)

    @property
    def _states(self) -> int:
        count = self.space.cardinality
        assert count is not None
        return count
