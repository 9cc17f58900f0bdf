r"""The densities of simulated annealing: $p^\beta$ with $\beta$ beyond 1, of a model alone or at the end of a path.

The power acts on the density of the variables as they were declared, and the Jacobian enters once:

$$\log\pi_\beta(u) = \beta \log p(x(u)) + \log |dx/du|.$$

A path leads there from its reference: up to $\beta = 1$ its own densities, then powers of its target. As $\beta$ grows,
all mass goes to the highest point of p in the declared variables.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.flat_path import FlatPath, compile_path
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.inference.path import Path
from gmdsl.inference.target import States, Target

RADIUS = 2.0  # starts are uniform on (-2, 2) in each unconstrained coordinate, as those of chains
TRIES = 20  # random points of which the first with a density is a start


class Annealing(eqx.Module):
    """What simulated annealing sees: a density at every inverse temperature, the height of a point, and starts.

    Attributes:
        model: the flat target of the model.
        path: the path that leads to it; None for a model alone.
    """

    model: FlatTarget
    path: FlatPath | None = None

    @property
    def coordinates(self) -> FlatTarget:
        """In whose flat unconstrained vector points are given: the model's, or those of the reference of a path."""
        return self.model if self.path is None else self.path.reference

    @property
    def dim(self) -> int:
        """Length of the vector."""
        return self.coordinates.dim

    def at(self, beta: Float[Array, ""]) -> Target:
        """The density at one beta, from 0 on."""
        return Annealed(self, beta)

    def height(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """The log-density of the model in its declared variables, -inf where it is NaN."""
        found = self.model.log_density_at(self.coordinates.free_values(x))
        return jnp.where(jnp.isnan(found), -jnp.inf, found)

    def start(self, key: Array) -> Float[Array, " dim"]:
        """A draw of the reference; of a model alone a random point, where there is a density in twenty tries."""
        if self.path is not None:
            return self.path.draw(key)
        x = jax.vmap(self._anywhere)(jax.random.split(key, TRIES))
        return x[jnp.argmax(jnp.isfinite(jax.vmap(self.model.log_density)(x)))]

    def _anywhere(self, key: Array) -> Float[Array, " dim"]:
        share = jax.random.uniform(key, (self.dim,))
        values = [
            RADIUS * (2.0 * share[i] - 1.0)
            if states is None
            else states[1] + states[2] * jnp.floor(share[i] * states[0])
            for i, states in enumerate(self.model.states)
        ]
        return jnp.stack(values).astype(share.dtype)


class Annealed(Target):
    """The flat density at one beta."""

    annealing: Annealing
    beta: Float[Array, ""]

    @property
    def dim(self) -> int:
        return self.annealing.dim

    @property
    def states(self) -> States:
        return self.annealing.coordinates.states

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        path, beta = self.annealing.path, self.beta
        extra = (beta - 1.0 if path is None else jnp.maximum(beta - 1.0, 0.0)) * self.annealing.height(x)
        if path is None:
            return self.annealing.model.log_density(x) + extra
        return path.at(jnp.minimum(beta, 1.0)).log_density(x) + extra


def annealing_of(model: Any) -> Annealing:
    """The densities of a model, or of a path (`gmdsl.inference.path.Path`) and beyond its end."""
    if isinstance(model, Path):
        path = compile_path(model)
        return Annealing(path.target, path)
    return Annealing(FlatTarget.of(model))
