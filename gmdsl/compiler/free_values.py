"""The flat vector of a model as unconstrained values of its variables, many of them as rows of one array."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.plan import Plan
from gmdsl.graph.rows import NamedRows, cut
from gmdsl.spaces.bijections import decoded, encoded
from gmdsl.spaces.space import Space, dtype_of


class FreeValues:
    """The unconstrained values in a flat vector.

    Args:
        plan: of the model.
        x: the flat vector.
    """

    def __init__(self, plan: Plan, x: Float[Array, " dim"]):
        self.plan, self.x = plan, x
        self.slots = {slot.name: slot for slot in plan.slots}

    def of(self, name: str) -> Array:
        """The value of one variable."""
        slot = self.slots[name]
        part = self.x[slot.start : slot.stop].reshape(slot.space.free_shape)
        return _whole(slot.space, part) if slot.space.discrete else part

    def rows(self, names: tuple[str, ...]) -> Array:
        """The values of variables of one shape, as rows of one array."""
        slots = [self.slots[name] for name in names]
        shape, space = slots[0].space.free_shape, slots[0].space
        starts, size = np.array([slot.start for slot in slots]), slots[0].stop - slots[0].start
        if size == 1:
            part = cut(self.x, starts)
        elif (np.diff(starts) == size).all():
            part = self.x[starts[0] : starts[-1] + size]
        else:
            part = jnp.take(self.x, starts[:, None] + np.arange(size), axis=0)
        part = part.reshape(len(names), *shape)
        return _whole(space, part) if space.discrete else part

    def decode_blocks(self, have: NamedRows) -> list[Array]:
        """Gives all variables that need no others their values; returns the logarithms of the Jacobians.

        Args:
            have: values by name, which are added to.
        """
        terms = []
        for block in self.plan.evaluation.blocks:
            if len(block.names) == 1:
                have[block.names[0]], jacobian = decoded(block.space, self.of(block.names[0]))
            else:
                space = block.space
                value, jacobian = jax.vmap(lambda free, space=space: decoded(space, free))(self.rows(block.names))
                have.add(block.names, value)
            terms += [] if jacobian is None else [jnp.sum(jacobian)]
        return terms


def encoded_blocks(plan: Plan, have: NamedRows) -> NamedRows:
    """The unconstrained values of all variables that need no others.

    Args:
        plan: of the model.
        have: values by name.
    """
    free = NamedRows()
    for block in plan.evaluation.blocks:
        if len(block.names) == 1:
            free[block.names[0]] = encoded(block.space, have[block.names[0]])
        else:
            space = block.space
            free.add(block.names, jax.vmap(lambda v, space=space: encoded(space, v))(have.stacked(block.names)))
    return free


def _whole(space: Space, part: Array) -> Array:
    """Values of a discrete variable from their place in the flat vector, where they are floats."""
    return jnp.round(part).astype(dtype_of(space))
