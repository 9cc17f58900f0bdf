"""A compiled model as one object: what densities, samplers, objectives and checks evaluate.

It is a pytree: the program is static, the arrays are leaves, so it is an argument of compiled functions like any other.
Nobody outside of the compiler sees how it is made of a program, its arrays and what was computed of these beforehand.
"""

import functools
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.hoist import hoisted_of
from gmdsl.compiler.plan import Slot
from gmdsl.compiler.program import Hoisted, Leaves, Program, program_of
from gmdsl.compiler.rewrites.constant_folding import folded
from gmdsl.compiler.rewrites.rewrite import rewritten
from gmdsl.compiler.rewrites.triangular_solves import by_inverses
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.inference.target import States, Target
from gmdsl.spaces.space import Space
from gmdsl.spaces.states import states_of


class FlatTarget(Target):
    """The log-density of a model over its flat unconstrained vector, and the maps between that and named values.

    Attributes:
        program: the static half of the compiled model.
        leaves: the arrays of the model.
        hoisted: what was computed of them alone.
    """

    program: Program = eqx.field(static=True)
    leaves: Leaves
    hoisted: Hoisted

    @classmethod
    def of(cls, model: FactorGraph) -> "FlatTarget":
        """The target of a model; works on models with traced arrays, too."""
        program, leaves = program_of(model)
        return cls(program, leaves, hoisted_of(program, leaves))

    @property
    def dim(self) -> int:
        return self.program.plan.dim

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the free variables."""
        return self.program.free

    @property
    def spaces(self) -> dict[str, Space]:
        """Space of every variable."""
        return self.program.spaces

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Where each free variable lies in the flat vector."""
        return self.program.plan.slots

    @property
    def has_tall_data(self) -> bool:
        """Whether a matrix of data has many rows and fewer columns; its products have a fast way and a slow one."""
        return bool(self.program.tall)

    @property
    def states(self) -> States:
        return sum(((states_of(slot.space),) * (slot.stop - slot.start) for slot in self.slots), ())

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        density = self.flat_log_density
        if self.hoisted.inverses is not None:
            density = by_inverses(density, self.hoisted.inverses)
        elif self.program.solves:
            density = folded(density)
        rules = self.program.rules(self.leaves, self.hoisted)
        return (rewritten(density, rules) if rules else density)(x)

    def log_density_and_score(self, x: Float[Array, " dim"]) -> tuple[Float[Array, ""], Float[Array, " dim"]]:
        return _density_and_score(self, x)

    def decode(self, x: Float[Array, " dim"]) -> tuple[dict[str, Any], Float[Array, ""]]:
        """Named values and the log-density at a flat vector, every operation as it was written."""
        return self.program.decode(self.leaves, self.hoisted, x)

    def flat_log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """The log-density at a flat vector, every operation as it was written."""
        return self.program.flat_log_density(self.leaves, self.hoisted, x)

    @property
    def model(self) -> Any:
        """The model, without names of dimensions and labels."""
        return self.program.model(self.leaves)

    def named(self, x: Float[Array, " dim"]) -> dict[str, Any]:
        """Everything that a function of the model may read at a flat vector: variables, data, constants."""
        return self.program.named(self.leaves, self.hoisted, x)

    def completed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Named values with data, constants and everything that is computed of them."""
        return self.program.completed(self.leaves, self.hoisted, values)

    def log_density_at(self, values: Mapping[str, Any]) -> Float[Array, ""]:
        """The log-density at named values, without Jacobian."""
        return self.program.log_density(self.leaves, self.hoisted, values)

    def terms(self, values: Mapping[str, Any]) -> dict[str, Array]:
        """The terms that depend on free variables, by the name of the factor."""
        return self.program.terms(self.leaves, self.hoisted, values)

    def constrain(self, x: Float[Array, " dim"]) -> dict[str, Array]:
        """Free and deterministic variables from the flat vector."""
        return self.program.constrain(self.leaves, self.hoisted, x)

    def free_values(self, x: Float[Array, " dim"]) -> dict[str, Array]:
        """The free variables alone."""
        values = self.constrain(x)
        return {name: values[name] for name in self.free}

    def unconstrain(self, values: Mapping[str, Any]) -> Float[Array, " dim"]:
        """The flat vector of named values."""
        return self.program.unconstrain(self.leaves, self.hoisted, values)

    def evaluated(self, x: Float[Array, " dim"], found: tuple[Array, Array]) -> Target:
        return _Evaluated(self, x, found)

    def minibatch(self, key: Array, batches: Any) -> "FlatTarget":
        return batches.draw(key, self)


class _Evaluated(Target):
    """A target that was evaluated at a point already, and is not a second time where a sampler asks for the same."""

    target: FlatTarget
    point: Any
    found: Any

    @property
    def dim(self) -> int:
        return self.target.dim

    @property
    def states(self) -> States:
        return self.target.states

    def log_density(self, x: Any) -> Any:
        return self.target.log_density(x)

    def log_density_and_score(self, x: Any) -> Any:
        return self.found if x is self.point else self.target.log_density_and_score(x)

    def minibatch(self, key: Array, batches: Any) -> Target:
        return self.target.minibatch(key, batches)


class Interned(eqx.Module):
    """A model as an argument of a compiled function that needs no density of it: equal structures share one program."""

    program: Program = eqx.field(static=True)
    leaves: Leaves

    @classmethod
    def of(cls, model: FactorGraph) -> "Interned":
        """The model of these arrays."""
        return cls(*program_of(model))

    @property
    def model(self) -> Any:
        """The model again, without names of dimensions and labels."""
        return self.program.model(self.leaves)


@jax.jit
def _density_and_score(target: FlatTarget, x: Float[Array, " dim"]) -> tuple[Float[Array, ""], Float[Array, " dim"]]:
    """Both at once; a program of its own, so that it is traced once for all programs that evaluate it."""
    found = jax.value_and_grad(target.log_density)(x)
    # XLA would compute the last layer of the derivative once more for every use of the score.
    return jax.lax.optimization_barrier(found) if target.program.has_kernels else found


@functools.partial(jax.jit, static_argnums=0)
def over_points(function: Any, target: Any, points: Any) -> Any:
    """`function(target, point)` at many points; compiled once per function, structure and shape.

    Points go side by side, but one after the other on a CPU where a model holds more than a cache does: a regression
    on 30,000 rows takes 330 us a point for a hundred side by side, and 40 us alone. Accelerators lack but memory.
    """
    numbers, one = numbers_of(target), lambda point: function(target, point)
    if jax.default_backend() == "cpu":
        return jax.lax.map(one, points) if numbers >= CACHED else jax.vmap(one)(points)
    count, together = len(jax.tree.leaves(points)[0]), max(1, HELD // max(numbers, 1))
    return jax.vmap(one)(points) if count <= together else jax.lax.map(one, points, batch_size=together)


CACHED = 2**15  # numbers of a model from which on a CPU evaluates points one by one
HELD = 2**28  # numbers that an accelerator makes at once of the arrays of a model


def numbers_of(target: FlatTarget) -> int:
    """How many numbers the arrays of a compiled model hold: what one evaluation of its density reads at least."""
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(target))
