r"""Angles as chains move them: on a line that is wound around the circle, so that there is no cut to cross.

The unconstrained coordinate of an angle maps the line to (-pi, pi), and the two ends of that interval are one point
that a chain cannot pass. Here it moves u instead, with the angle u modulo 2 pi and the density

$$f(u) = p(u \bmod 2\pi)\, w(u), \quad w(u) = G((u + \pi) / s) - G((u - \pi) / s)$$

for the logistic function G. The weights of the points of one angle, $\sum_k w(u + 2\pi k)$, are a telescope whose sum
is one. So f is normalised where p is, and the law of the angle is p exactly. The weight keeps chains near zero, so that
trajectories turn back where p is flat; and log w is nowhere steeper than 1/s, so that a chain that stays in one turn
while others stay in another sees nearly the same law.

Draws are recorded in the coordinate of the model. Nothing else knows of turns.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.inference.target import States, Target
from gmdsl.models.model import Model

WIDTH = 6.0  # s: about one turn


class Winding(Target):
    """The flat target of a model in which angles are wound.

    Attributes:
        target: of the model.
        places: where the angles lie in the flat vector.
    """

    target: FlatTarget
    places: tuple[int, ...] = eqx.field(static=True)

    @property
    def dim(self) -> int:
        return self.target.dim

    @property
    def states(self) -> States:
        return self.target.states

    @property
    def has_tall_data(self) -> bool:
        """Whether the model has tall data."""
        return self.target.has_tall_data

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        at, u = jnp.asarray(self.places), x[jnp.asarray(self.places)]
        share = _share(u)
        jacobian = jnp.log(2.0 * jnp.pi) + jnp.log(share) + jnp.log1p(-share)
        return self.target.log_density(x.at[at].set(_logit(share))) + jnp.sum(_log_weight(u) - jacobian)

    def drawn(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        at = jnp.asarray(self.places)
        return x.at[at].set(_logit(_share(x[at])))

    def started(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        at, x = jnp.asarray(self.places), jnp.asarray(x)
        return x.at[at].set(2.0 * jnp.pi * (jax.nn.sigmoid(x[at]) - 0.5))

    def minibatch(self, key: Array, batches: Any) -> "Winding":
        return Winding(self.target.minibatch(key, batches), self.places)


def density_of_chains(model: Model) -> Density:
    """The compiled model that chains run on, where angles are wound."""
    density = Density(model)
    angles = [slot for slot in density.target.slots if slot.space.circular]
    if not angles:
        return density
    places = tuple(place for slot in angles for place in range(slot.start, slot.stop))
    return Density(model, Winding(density.target, places))


def _share(u: Any) -> Any:
    """The place of an angle between -pi and pi as a number from zero to one, the ends left out by rounding."""
    turn = u / (2.0 * jnp.pi) + 0.5
    least = 4.0 * jnp.finfo(turn.dtype).eps
    return jnp.clip(turn - jnp.floor(turn), least, 1.0 - least)


def _logit(share: Any) -> Any:
    return jnp.log(share) - jnp.log1p(-share)


def _log_weight(u: Any) -> Any:
    """The logarithm of w, in a form without cancellation: G(a) - G(b) = (exp(-b) - exp(-a)) G(a) G(b)."""
    a, b = (jnp.abs(u) + jnp.pi) / WIDTH, (jnp.abs(u) - jnp.pi) / WIDTH
    return -b + jnp.log1p(-jnp.exp(b - a)) + jax.nn.log_sigmoid(a) + jax.nn.log_sigmoid(b)
