r"""Coordinates without density: elements of a variable whose own term is masked, and which nothing else reads.

NumPyro's `obs_mask=` makes a variable of the full shape and masks its term where there are data; `handlers.mask` and
`.mask(...)` do so to any variable. Along such a coordinate the density is constant, so that the joint cannot be
normalised, and no law of the element exists. Of $p(x, u) = p(x)$ chains move x alone, and u stays where it is: they are
the chains of the model without u.

A density that is flat for another reason (a prior that was forgotten) is none of this. A coordinate counts where its
term is masked by a mask that depends on no random value, where the score is zero and where other values change not
a bit of the log-density.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.core.errors import SpecError
from gmdsl.inference.target import Target

RADIUS = 2.0  # of the points that are tried, as starts
OTHERS = (2.0, 2.0, 20.0)  # radii of the other values that are tried
TRIES = 20


def without_density(target: FlatTarget) -> Bool[np.ndarray, " dim"]:
    """Which coordinates of a compiled model have no density."""
    none = np.zeros(target.dim, bool)
    if not any(factor.maskable for factor in target.model.factors):
        return none
    rng, found = np.random.default_rng(0), []
    for _ in range(TRIES):
        x = jnp.asarray(_discrete(target, rng.uniform(-RADIUS, RADIUS, target.dim)))
        if np.isfinite(_without_jacobian(target, x)):
            found.append(x)
        if len(found) == 2:
            break
    if len(found) < 2:
        return none
    first, second = (_masked(target, x) for x in found)
    if not first.any() or (first != second).any():
        return none
    for x in found:
        first &= np.asarray(_slope(target, x)) == 0.0
    for x in found:
        for radius in OTHERS:
            other = jnp.where(first, rng.uniform(-radius, radius, target.dim), x)
            if _without_jacobian(target, other) != _without_jacobian(target, x):
                return none
    return first


def refuse_without_density(operation: str, model: Any) -> None:
    """Refuses a model with elements that have no density, where its integral is asked for.

    Args:
        operation: what the user called.
        model: a model of free variables.

    Raises:
        SpecError: names the elements.
    """
    if model.inputs or not any(factor.maskable for factor in model.factors):
        return
    target = FlatTarget.of(model)
    if (gone := without_density(target)).any():
        names = coordinates(target)
        first, count = names[int(np.flatnonzero(gone)[0])], int(gone.sum())
        more = f" and {count - 1} more" if count > 1 else ""
        raise SpecError(
            f"{operation}: {first}{more} are masked and have no density, so the integral is infinite. Declare the"
            " elements that are missing alone, or leave them out of the likelihood (numpyro.handlers.mask around an"
            " observed site)."
        )


def coordinates(target: FlatTarget) -> list[str]:
    """What each entry of the flat vector is called."""
    names = []
    for slot in target.slots:
        shape = slot.space.free_shape
        names += [slot.name + (str(list(index)) if shape else "") for index in np.ndindex(*shape)]
    return names


class WithoutElements(Target):
    """A flat target without the coordinates that have no density; these are zero in its draws.

    Attributes:
        target: of all coordinates.
        places: of the coordinates that have a density.
    """

    target: Target
    places: Int[Array, " dim"]

    @property
    def dim(self) -> int:
        return self.places.shape[0]

    @property
    def has_tall_data(self) -> bool:
        """Whether the model has tall data."""
        return bool(getattr(self.target, "has_tall_data", False))

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return self.target.log_density(self._whole(x))

    def drawn(self, x: Float[Array, " dim"]) -> Float[Array, " model_dim"]:
        return self.target.drawn(self._whole(x))

    def started(self, x: Float[Array, " model_dim"]) -> Float[Array, " dim"]:
        return self.target.started(x)[self.places]

    def minibatch(self, key: Array, batches: Any) -> "WithoutElements":
        return WithoutElements(self.target.minibatch(key, batches), self.places)

    def _whole(self, x: Float[Array, " dim"]) -> Float[Array, " model_dim"]:
        return jnp.zeros(self.target.dim, x.dtype).at[self.places].set(x)


class WithFilledElements(Target):
    """A flat target in which coordinates without density have a standard normal one, for samplers that know places.

    Attributes:
        target: of all coordinates.
        gone: which of them have no density; they are zero in draws of chains.
    """

    target: Target
    gone: Bool[Array, " dim"]

    @property
    def dim(self) -> int:
        return self.target.dim

    @property
    def states(self) -> Any:
        return self.target.states

    @property
    def slots(self) -> Any:
        """Where each variable lies in the vector of a model."""
        return self.target.slots  # ty: ignore[missing-attribute]

    @property
    def has_tall_data(self) -> bool:
        """Whether the model has tall data."""
        return bool(getattr(self.target, "has_tall_data", False))

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        normal = -0.5 * jnp.sum(jnp.where(self.gone, x, 0.0) ** 2)
        return self.target.log_density(jnp.where(self.gone, 0.0, x)) + normal

    def drawn(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        return self.target.drawn(jnp.where(self.gone, 0.0, x))

    def started(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        return self.target.started(x)

    def minibatch(self, key: Array, batches: Any) -> "WithFilledElements":
        return WithFilledElements(self.target.minibatch(key, batches), self.gone)


def _discrete(target: FlatTarget, x: np.ndarray) -> np.ndarray:
    """A random point with values of the discrete variables."""
    for i, states in enumerate(target.states):
        if states is not None:
            count, first, gap = states
            x[i] = first + gap * np.floor((x[i] + RADIUS) / (2.0 * RADIUS) * count)
    return x


def _masked(target: FlatTarget, x: Array) -> np.ndarray:
    """Which coordinates belong to elements whose own term is masked at a point."""
    found, gone, values = {}, np.zeros(target.dim, bool), target.named(x)
    for factor in target.model.factors:
        if factor.maskable:
            found |= factor.masked(values)
    for slot in target.slots:
        if slot.name in found and not slot.space.discrete:
            mask, shape = np.asarray(found[slot.name]), slot.space.free_shape
            mask = mask.reshape((*mask.shape, *(1,) * (len(shape) - mask.ndim)))
            gone[slot.start : slot.stop] = np.broadcast_to(mask, shape).ravel()
    return gone


@jax.jit
def _without_jacobian(target: FlatTarget, x: Array) -> Array:
    return target.log_density_at(target.free_values(x))


@jax.jit
def _slope(target: FlatTarget, x: Array) -> Array:
    return jax.grad(lambda x: _without_jacobian(target, x))(x)
