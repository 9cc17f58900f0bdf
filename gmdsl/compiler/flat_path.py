"""Compiling a path: the flat targets between two models of the same variables."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.inference.interpolation import Geometric, Interpolation
from gmdsl.inference.path import Path, PathTarget
from gmdsl.inference.target import States, Target


class FlatPath(PathTarget):
    """A path in the unconstrained coordinates of its reference."""

    target: FlatTarget
    reference: FlatTarget
    between: Interpolation = Geometric()

    @property
    def interpolation(self) -> Interpolation:
        return self.between

    @property
    def dim(self) -> int:
        return self.reference.dim

    @property
    def labels(self) -> bool:
        """Whether all variables are discrete: densities are then left as sums, whose terms say who depends on whom."""
        return all(states is not None for states in self.reference.states)

    def at(self, beta: Float[Array, ""]) -> Target:
        return TemperedTarget(self, beta)

    def log_ratio(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """As asked for; a NaN counts as no density."""
        ratio = self._all(x)[2]
        return jnp.where(jnp.isnan(ratio), -jnp.inf, ratio)

    def log_reference(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return self.reference.log_density(x)

    def draw(self, key: Array) -> Float[Array, " dim"]:
        values = self.reference.model.sample(key)
        return self.reference.unconstrain({name: values[name] for name in self.reference.free})

    def is_broken(self, x: Float[Array, " dim"]) -> Array:
        return jnp.isnan(self._all(x)[2])

    def _all(self, x: Float[Array, " dim"]) -> tuple[Mapping[str, Any], Float[Array, ""], Float[Array, ""]]:
        """The values, the flat log-density of the reference, and log p - log q; NaN where one of the two is."""
        have, flat = self.reference.decode(x)
        values = {name: have[name] for name in self.reference.free}
        if self.labels:  # nothing was stretched: no Jacobian
            return values, flat, self.target.log_density_at(values) - flat
        above = self.target.log_density_at(values)
        ratio = above - self.reference.log_density_at(values)
        return values, flat, jnp.where(above == -jnp.inf, -jnp.inf, ratio)


class TemperedTarget(Target):
    """The flat density at one beta."""

    path: FlatPath
    beta: Float[Array, ""]

    @property
    def dim(self) -> int:
        return self.path.dim

    @property
    def states(self) -> States:
        return self.path.reference.states

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        values, flat, ratio = self.path._all(x)
        density = flat + self.path.between.log_weight(ratio, self.beta)
        return density if self.path.labels else self.path.reference.program.far_out.mended(density, x, values)


def compile_path(path: Path) -> FlatPath:
    """The flat targets of a path."""
    return FlatPath(FlatTarget.of(path.target), FlatTarget.of(path.reference), path.interpolation)
