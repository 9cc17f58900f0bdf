"""What a fit is and leaves behind, and its compiled block of many optimiser steps."""

import functools
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.rewrites.convolution_layouts import with_fast_convolutions
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Constant
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.core.random.subset import subset
from gmdsl.learning.learnable import learnable, unlearned
from gmdsl.learning.objective import Batch, Data, Objective, checked_returns, rows

BLOCK = 100  # optimiser steps in a compiled block


@dataclass(frozen=True)
class End:
    """Where a fit ended: what it takes to look at the loss there again.

    Attributes:
        trainer: the static half of the fit.
        moving: the learned arrays (their moving average when one was asked for).
        still: the other arrays.
        state: of the objective.
        data: what was learned from.
        key: from which randomness for such looks is made.
    """

    trainer: "Trainer"
    moving: Any
    still: Any
    state: Any
    data: Data
    key: jax.Array


@dataclass(frozen=True)
class Fit:
    """What a fit leaves behind.

    Attributes:
        model: the model at the learned parameters (their moving average when one was asked for).
        learned: everything that was learned; the model itself, or the model with its guide (`fit.learned.guide`).
        remark: how the fixed point of the objective differs from the maximum-likelihood estimate; empty when it does
            not.
        end: what `gm.check` needs to look at the loss where the fit ended.
        history: arrays by name: `loss`, the objective's own numbers, and `held_out` with its `held_out_step`.
        steps: optimiser steps that were made.
        interrupted: whether Ctrl-C ended it early.
        stopped: whether the held-out loss had not fallen for as long as `patience=` allows.
        best_step: with `patience=`, the step of the lowest held-out loss, of which the model is; else None.
    """

    model: Any
    history: dict[str, np.ndarray] = field(repr=False)
    steps: int = 0
    interrupted: bool = False
    stopped: bool = False
    best_step: int | None = None
    learned: Any = field(default=None, repr=False)
    remark: str = ""
    end: End | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Trainer:
    """The static half of a fit: equal trainers share compiled programs."""

    skeleton: Skeleton
    moves: tuple[bool, ...]
    objective: Constant
    optimizer: Constant
    batch_size: int | None
    average: float | None

    def model(self, moving: Any, still: Any) -> Any:
        """The model with these learnable and fixed arrays."""
        moving, still = iter(moving), iter(still)
        return self.skeleton.fill(next(moving) if moves else next(still) for moves in self.moves)


@functools.partial(jax.jit, static_argnums=0)
def start(trainer: Trainer, still: Any, data: Data, key: jax.Array, moving: Any) -> Any:
    """What is carried from step to step: what is learned, the optimiser's state, the objective's, and the average."""
    state = trainer.objective.value.init(key, trainer.model(moving, still), data)
    return moving, trainer.optimizer.value.init(moving), state, moving


@functools.partial(jax.jit, static_argnums=0)
def train_block(
    trainer: Trainer, still: Any, data: Data, key: jax.Array, carry: Any, first: jax.Array, count: jax.Array
) -> Any:
    """Up to `BLOCK` optimiser steps; buffers past `count` stay empty."""
    import optax

    update = trainer.optimizer.value.update

    def loss(moving: Any, key: jax.Array, batch: Batch, state: Any) -> Any:
        objective = trainer.objective.value
        return checked_returns(objective, objective.loss(key, trainer.model(moving, still), batch, state), state)

    slopes = with_fast_convolutions(jax.value_and_grad(loss, has_aux=True))

    def step(index: jax.Array, carry: Any) -> Any:
        moving, optimizer_state, state, averaged = carry
        key_batch, key_loss = jax.random.split(jax.random.fold_in(key, first + index))
        batch = batch_of(key_batch, data, trainer.batch_size)
        (value, (state, metrics)), slope = slopes(moving, key_loss, batch, state)
        updates, optimizer_state = update(slope, optimizer_state, moving)
        moving = optax.apply_updates(moving, updates)
        if trainer.average is not None:
            averaged = optax.incremental_update(moving, averaged, 1.0 - trainer.average)
        return (moving, optimizer_state, state, averaged), {"loss": value, **metrics}

    shapes = jax.eval_shape(jax.jit(step), jnp.int32(0), carry)
    buffers = jax.tree.map(lambda s: jnp.zeros((BLOCK, *s.shape), s.dtype), shapes[1])
    jitted = jax.jit(step)

    def one(index: jax.Array, at: Any) -> Any:
        carry, record = jitted(index, at[0])
        put = functools.partial(jax.lax.dynamic_update_index_in_dim, index=index, axis=0)
        return carry, jax.tree.map(lambda b, r: put(b, r), at[1], record)

    carry, buffers = jax.lax.fori_loop(jnp.int32(0), count, one, (carry, buffers))  # a strong type: traced once
    return carry, buffers, jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in carry[0]]))


@functools.partial(jax.jit, static_argnums=0)
def evaluate(trainer: Trainer, still: Any, data: dict[str, Any], key: jax.Array, carry: Any) -> Any:
    """The loss of other data, by the moving average where one was asked for."""
    moving, _, state, averaged = carry
    model = trainer.model(moving if trainer.average is None else averaged, still)
    return trainer.objective.value.loss(key, model, Batch(data), state)[0]


def batch_of(key: jax.Array, data: Data, size: int | None) -> Batch:
    """A random batch, drawn without replacement, or all of the data."""
    if size is None or size >= rows(data):
        return Batch(dict(data))
    chosen = subset(key, rows(data), size)
    return Batch({name: values[chosen] for name, values in data.items()}, chosen)


def make_trainer(model: Any, objective: Objective, optimizer: Any, size: int | None, average: float | None) -> Any:
    """The static half of a fit, and the arrays that move and those that stay."""
    import optax

    skeleton, leaves = strip(model)
    marks = jax.tree.leaves(learnable(model))
    moves = tuple(mark for mark, array in zip(marks, skeleton.marks, strict=True) if array)
    if not any(moves):
        raise SpecError(f"fit(...): the model has nothing to learn{unlearned(model)}.")
    moving = tuple(leaf for leaf, moves_ in zip(leaves, moves, strict=True) if moves_)
    still = tuple(leaf for leaf, moves_ in zip(leaves, moves, strict=True) if not moves_)
    chosen = Constant(optax.adam(1e-3) if optimizer is None else optimizer)
    return Trainer(skeleton, moves, Constant(objective), chosen, size, average), moving, still
