"""Named values and log-densities at flat draws, in batches of one size."""

from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.spaces.space import Real

_BATCH = 1000  # points in a batch; fixed, so that another number of draws compiles nothing
_NUMBERS = 2**22  # numbers in a batch at most


def constrained(density: Density, position: np.ndarray) -> dict[str, np.ndarray]:
    """Free and deterministic variables at flat draws of shape (chain, draw, dim)."""
    program = density.program
    if not program.computed and all(isinstance(program.spaces[name], Real) for name in program.free):
        return {s.name: slot_values(position, s) for s in program.plan.slots}
    target = density.target
    return in_batches(_constrain_batch, program, target, position)


def slot_values(position: np.ndarray, slot: Any) -> np.ndarray:
    """The unconstrained values of one variable at flat draws."""
    return position[..., slot.start : slot.stop].reshape(*position.shape[:-1], *slot.space.free_shape)


def in_batches(function: Any, program: Any, target: Any, position: np.ndarray) -> Any:
    """A function of flat points over all draws, in batches of one size so that it compiles once."""
    flat = position.reshape(-1, position.shape[-1])
    size = max(1, min(_BATCH, _NUMBERS // max(flat.shape[1], 1)))
    padded = np.concatenate([flat, np.repeat(flat[-1:], -len(flat) % size, axis=0)])
    parts = [
        jax.tree.map(np.asarray, function(program, target.leaves, target.hoisted, padded[i : i + size]))
        for i in range(0, len(padded), size)
    ]
    whole = jax.tree.map(lambda *p: np.concatenate(p)[: len(flat)], *parts)
    return jax.tree.map(lambda a: a.reshape(*position.shape[:2], *a.shape[1:]), whole)


def _constrain(program: Any, leaves: Any, hoisted: Any, x: Any) -> Any:
    return jax.vmap(lambda x: program.constrain(leaves, hoisted, x))(x)


def _density(program: Any, leaves: Any, hoisted: Any, x: Any) -> Any:
    return jax.vmap(lambda x: program.decode(leaves, hoisted, x)[1])(x)


_constrain_batch = jax.jit(_constrain, static_argnums=0)
_density_batch = jax.jit(_density, static_argnums=0)


def log_densities(density: Density, position: np.ndarray) -> np.ndarray:
    """The log-density, Jacobian included, at flat draws of shape (chain, draw, dim)."""
    return in_batches(_density_batch, density.program, density.target, position)
