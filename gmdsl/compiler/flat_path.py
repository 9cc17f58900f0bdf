"""Compiling a path: the flat targets between two models of the same variables."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.program import Hoisted, Leaves, Program, program_of
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.inference.path import Path, PathTarget
from gmdsl.inference.target import Target


class Half(eqx.Module):
    """One of the two models of a path."""

    program: Program = eqx.field(static=True)
    leaves: Leaves
    hoisted: Hoisted


class FlatPath(PathTarget):
    """A path in the unconstrained coordinates of its reference."""

    target: Half
    reference: Half

    @property
    def dim(self) -> int:
        return self.reference.program.plan.dim

    def at(self, beta: Float[Array, ""]) -> Target:
        return TemperedTarget(self, beta)

    def log_ratio(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return self._both(x)[1]

    def draw(self, key: Array) -> Float[Array, " dim"]:
        program, leaves, hoisted = self.reference.program, self.reference.leaves, self.reference.hoisted
        values = program.model(leaves).sample(key)
        return program.unconstrain(leaves, hoisted, {name: values[name] for name in program.free})

    def _both(self, x: Float[Array, " dim"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The flat log-density of the reference, and log p - log q (a NaN counts as no density)."""
        q, p = self.reference, self.target
        have, flat = q.program.decode(q.leaves, q.hoisted, x)
        values = {name: have[name] for name in q.program.free}
        start = q.program.log_density(q.leaves, q.hoisted, values)
        end = p.program.log_density(p.leaves, p.hoisted, values)
        ratio = end - start
        return flat, jnp.where(jnp.isnan(ratio), -jnp.inf, ratio)


class TemperedTarget(Target):
    """The flat density at one beta."""

    path: FlatPath
    beta: Float[Array, ""]

    @property
    def dim(self) -> int:
        return self.path.dim

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        flat, ratio = self.path._both(x)
        return flat + self.beta * ratio


def compile_path(path: Path) -> FlatPath:
    """The flat targets of a path."""
    return FlatPath(_half(path.target), _half(path.reference))


def _half(model: FactorGraph) -> Half:
    program, leaves = program_of(model)
    return Half(program, leaves, program.jit_hoist(leaves) if program.hoists else {})
