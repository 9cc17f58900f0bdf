r"""A kind of factor: $p(y \mid m) = \frac12 e^{-|y - m|}$."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.graph.factor import Values
from gmdsl.graph.factors.declared import Declared
from gmdsl.spaces.layout import Layout
from gmdsl.spaces.space import Real


class MyFactor(Declared):
    """A real variable around another one.

    Attributes:
        child: the variable.
        center: the other one.
    """

    child: str = eqx.field(static=True)
    center: str = eqx.field(static=True)

    @property
    def layout(self) -> Layout:
        return ((self.child, Real()),)

    @property
    def parents(self) -> tuple[str, ...]:
        return (self.center,)

    def log_density(self, values: Values) -> Float[Array, ""]:
        return -jnp.abs(values[self.child] - values[self.center]) - jnp.log(2.0)

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        return {self.child: values[self.center] + jax.random.laplace(key, shape)}

    def rename(self, names: Mapping[str, str]) -> Self:
        child, center = (names.get(name, name) for name in (self.child, self.center))
        return dataclasses.replace(self, child=child, center=center)
