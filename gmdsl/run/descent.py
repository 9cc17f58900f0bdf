r"""How much lower the loss gets from where a fit ended.

A few steps of L-BFGS with a line search, on batches and random keys that are held, go down as far as the slope leads;
other batches and keys tell by how much the loss has fallen. A fit at its minimum gains nothing there: what such steps
gain on their own batches they lose on others. A rate that was lowered to zero on the way leaves a slope behind.

Reference:
    Liu and Nocedal, *On the limited memory BFGS method for large scale optimization*, 1989.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.learning.objective import Batch, rows
from gmdsl.run.training import End, Trainer, batch_of

STEPS = 20  # of L-BFGS
DATA = 4096  # about as many data in all batches of one look
BATCHES = (4, 64)  # at least, and at most
OTHERS = 4  # times as many batches tell by how much the loss has fallen


def descent(end: End) -> tuple[float, float]:
    """By how much the loss falls below that of a fit, and the standard error of that.

    Args:
        end: where the fit ended; of an objective whose loss is what it minimises.
    """
    size = rows(end.data) if end.trainer.batch_size is None else min(end.trainer.batch_size, rows(end.data))
    count = int(np.clip(DATA // size, *BATCHES))
    key_own, key_other = jax.random.split(jax.random.fold_in(end.key, 2**31 - 1))
    look = functools.partial(_look, end.trainer, count, end.still, end.data, end.state)
    lower = _descend(functools.partial(look, key_own), end.moving)
    gains = np.concatenate(
        [
            np.asarray(look(key, end.moving)[0]) - np.asarray(look(key, lower)[0])
            for key in jax.random.split(key_other, OTHERS)
        ]
    ).astype(float)
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(gains.size))


def _descend(look: Any, start: Any) -> Any:
    """The learned arrays after some steps down, from losses and their mean's slope at given arrays."""
    from scipy.optimize import minimize

    leaves, structure = jax.tree.flatten(start)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]

    def arrays(flat: np.ndarray) -> Any:
        parts = zip(np.split(flat, ends), leaves, strict=True)
        return jax.tree.unflatten(structure, [jnp.asarray(part.reshape(x.shape), x.dtype) for part, x in parts])

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        losses, slope = look(arrays(flat))
        total, slope = float(np.mean(losses)), np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(slope)])
        if not np.isfinite(total) or not np.isfinite(slope).all():
            return np.finfo(float).max, np.zeros(flat.size)  # the line search turns back
        return total, slope.astype(float)

    flat = np.concatenate([np.ravel(leaf) for leaf in leaves]).astype(float)
    return arrays(minimize(value, flat, jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "maxfun": 3 * STEPS}).x)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _look(trainer: Trainer, count: int, still: Any, data: Any, state: Any, key: jax.Array, moving: Any) -> Any:
    """The losses of some batches, each with its own random key, and the slope of their mean."""

    def one(key: jax.Array) -> tuple[jax.Array, Any]:
        key_batch, key_loss = jax.random.split(key)
        batch: Batch = batch_of(key_batch, data, trainer.batch_size)

        def loss(moving: Any) -> jax.Array:
            return trainer.objective.value.loss(key_loss, trainer.model(moving, still), batch, state)[0]

        return jax.value_and_grad(loss)(moving)

    def add(total: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        value, slope = one(key)
        return jax.tree.map(lambda a, b: a + b / count, total, slope), value

    slope, losses = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, moving), jax.random.split(key, count))
    return losses, slope
