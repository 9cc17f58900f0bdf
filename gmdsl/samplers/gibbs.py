r"""Gibbs sampling of discrete variables: each in turn is drawn from its law given all others.

$p(x_i = k \mid x_{-i}) \propto p(x_{-i}, x_i = k)$, by evaluating the density at every value of each element. For
finite discrete variables; in a model with continuous ones too, as one of several blocks (`gm.blocks`).

Reference:
    Geman and Geman, *Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images*, 1984.
"""

from typing import Any, Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.exact.conditionals.sweeps import swept
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class Gibbs(Sampler):
    """Draws every element of discrete variables from its full conditional, a colour at a time.

    Attributes:
        sweeps: how often each element is drawn in one step.
    """

    sweeps: int = eqx.field(static=True, default=1)

    def bound(self, density: Any) -> Self:
        for name in density.free:
            space = density.spaces[name]
            if not space.discrete:
                raise SpecError(f"Gibbs(): {name} is continuous. Give it to a block of its own: gm.blocks({{...}}).")
            if space.cardinality is None:
                raise SpecError(f"Gibbs(): {name} has infinitely many values. Truncate it, or sum it out.")
        return self

    def step(self, key: Array, target: Target, state: Float[Array, " dim"]) -> tuple[Float[Array, " dim"], Stats]:
        states = target.states
        if any(one is None for one in states):
            raise SpecError("Gibbs(): a variable is continuous. Give it to a block of its own: gm.blocks({...}).")
        values = tuple(one for one in states if one)
        found = swept(key, target.log_density, values, state, self.sweeps)
        changed = found.changed / jnp.asarray(target.dim * self.sweeps, state.dtype)
        return found.x, {"changed": changed, "nan_evaluations": found.broken}
