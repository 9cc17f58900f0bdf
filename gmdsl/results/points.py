"""Named values and log-densities at flat draws, in batches of one size."""

from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_target import FlatTarget, numbers_of, over_points
from gmdsl.spaces.space import Real

_BATCH = 1000  # points in a batch; fixed, so that another number of draws compiles nothing
_NUMBERS = 2**22  # numbers in a batch at most
_READ = 2**24  # numbers of a model that a batch of more than `_LEAST` points reads at most: the last batch is filled up
_LEAST = 16


def constrained(density: Density, position: np.ndarray) -> dict[str, np.ndarray]:
    """Free and deterministic variables at flat draws of shape (chain, draw, dim)."""
    if not density.model.deterministic and all(isinstance(density.spaces[name], Real) for name in density.free):
        return {s.name: slot_values(position, s) for s in density.target.slots}
    return in_batches(FlatTarget.constrain, density.target, position)


def log_densities(density: Density, position: np.ndarray) -> np.ndarray:
    """The log-density, Jacobian included, at flat draws of shape (chain, draw, dim)."""
    return in_batches(_log_density, density.target, position)


def slot_values(position: np.ndarray, slot: Any) -> np.ndarray:
    """The unconstrained values of one variable at flat draws."""
    return position[..., slot.start : slot.stop].reshape(*position.shape[:-1], *slot.space.free_shape)


def in_batches(function: Any, target: FlatTarget, position: np.ndarray) -> Any:
    """`function(target, x)` at all flat draws, in batches of one size so that it compiles once."""
    flat = position.reshape(-1, position.shape[-1])
    few = max(_LEAST, _READ // max(numbers_of(target), 1))
    size = max(1, min(_BATCH, few, _NUMBERS // max(flat.shape[1], 1)))
    padded = np.concatenate([flat, np.repeat(flat[-1:], -len(flat) % size, axis=0)])
    parts = [
        jax.tree.map(np.asarray, over_points(function, target, padded[i : i + size]))
        for i in range(0, len(padded), size)
    ]
    whole = jax.tree.map(lambda *p: np.concatenate(p)[: len(flat)], *parts)
    return jax.tree.map(lambda a: a.reshape(*position.shape[:2], *a.shape[1:]), whole)


def _log_density(target: FlatTarget, x: Any) -> Any:
    return target.flat_log_density(x)
