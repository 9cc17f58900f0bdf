"""The compiled block: every chain, a fixed number of records, one program for warm-up and draws.

The key of step i depends on the chain and on i alone, so a run does not depend on how it is cut into blocks.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.compiler.rewrites.convolution_layouts import with_fast_convolutions
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import strong
from gmdsl.core.random.keys import as_keys, step_key
from gmdsl.core.runtime.precision import full_precision
from gmdsl.inference.collectives import LANES
from gmdsl.inference.stats import EVENTS
from gmdsl.inference.target import Target
from gmdsl.run.chains.contract import checked, recorded, updated
from gmdsl.run.chains.kernel import Carry, Kernel, Record, dissect, start_adapters
from gmdsl.run.chains.tiles import in_tiles, tile_size
from gmdsl.run.chains.warmup import FINISH, WINDOW, WINDOW_END
from gmdsl.run.parallel.mesh import over

_START = 0x7FFFFFFF  # the step index whose key starts a chain; no run is that long


@functools.partial(jax.jit, static_argnums=0)
@full_precision
def start_chains(kernel: Kernel, target: Target, arrays: Any, keys: Array, x: Array) -> Any:
    """The carries at the starts, the log-densities there, and whether the gradients are finite."""

    def one(key: Array, x: Array, arrays: Any) -> Any:
        lp, score = target.log_density_and_score(x)
        sampler, states = start_adapters(kernel.given.fill(arrays), kernel.adapters, target.dim)
        there = target.evaluated(x, (lp, score))
        state = sampler.init(jax.random.fold_in(as_keys(key), _START), there, x)
        if jnp.shape(sampler.position(state)) != x.shape:
            found = jnp.shape(sampler.position(state))
            raise SpecError(f"{type(sampler).__name__}.position(...): shape {found}, a vector of {x.shape} is needed.")
        carry = Carry(state, dissect(sampler)[1], tuple(states))
        return strong(carry), lp, jnp.isfinite(score).all()

    if kernel.mode == "tile" and not kernel.each and kernel.mesh is None:
        several = jax.vmap(lambda at: one(*at, arrays))
        return in_tiles(several, (keys, x), tile_size(keys.shape[0]))
    lanes = LANES if kernel.mode == "vmap" else None  # as in the block, so that the density is traced once for both
    return jax.vmap(one, (0, 0, 0 if kernel.each else None), axis_name=lanes)(keys, x, arrays)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=3)
@full_precision
def run_block(
    kernel: Kernel, target: Target, keys: Array, carries: Carry, first: Array, records: Array, phases: Array
) -> tuple[Carry, Record]:
    """Up to `capacity` records of every chain.

    Args:
        kernel: the static half.
        target: the compiled model.
        keys: the words of one key per chain (`gmdsl.core.random.keys`).
        carries: one carry per chain; given back to the device.
        first: index of the first step.
        records: how many records to make; the rest of the buffers stays empty.
        phases: phase of each step of the block (`gmdsl.run.chains.warmup`).
    """
    some = functools.partial(_some_chains, kernel)
    shared = (target, first, records, phases)
    return over(kernel.mesh, some)(keys, carries, shared)


def _some_chains(kernel: Kernel, keys: Array, carries: Carry, shared: Any) -> tuple[Carry, Record]:
    """The block of the chains of one device."""
    target, first, records, phases = shared

    def step(key: Array, carry: Carry, i: Array, phase: Array) -> Any:
        return _step(kernel, target, as_keys(key), carry, first + i, phase)

    abreast = jax.vmap(step, (0, 0, None, None), axis_name=LANES if kernel.mode == "vmap" else None)
    one = functools.partial(_records, kernel, step, records, phases, 0)
    several = functools.partial(_records, kernel, abreast, records, phases, 1)
    if kernel.mode == "vmap":
        return several((keys, carries))
    if kernel.mode == "tile":
        return in_tiles(several, (keys, carries), tile_size(keys.shape[0]))
    if keys.shape[0] == 1:
        only = one(jax.tree.map(lambda a: a[0], (keys, carries)))
        return jax.tree.map(lambda a: a[None], only)
    return jax.lax.map(one, (keys, carries))


def _records(kernel: Kernel, step: Any, records: Array, phases: Array, axis: int, chains: Any) -> tuple[Carry, Record]:
    """The loop over the steps of a chain, or of several that are moved by `step` side by side.

    It is around what moves the chains, not inside of it: batching a loop traces it once more.

    Args:
        kernel: the static half.
        step: moves chains: from their keys, their carries, the index of the step and its phase.
        records: how many records to make.
        phases: phase of each step.
        axis: the one of the buffers along which records lie.
        chains: keys and carries.
    """
    (keys, carries), step = chains, jax.jit(with_fast_convolutions(jax.jit(step)))  # traced once for shapes and loop
    empty, buffers = _buffers(step, kernel.capacity, axis, keys, carries, phases[0])

    def one_record(index: Array, at: Any) -> Any:
        carries, buffers = at
        base = index * kernel.thin

        def again(j: Array, at: Any) -> Any:
            carries, new = step(keys, at[0], base + j, phases[base + j])
            return carries, Record(new.position, _any(at[1].stats, new.stats))

        if kernel.thin == 1:
            carries, record = step(keys, carries, base, phases[base])
        else:  # one loop from 0 on, so that the step is in the program once
            carries, record = jax.lax.fori_loop(0, kernel.thin, again, (carries, empty))
        put = functools.partial(jax.lax.dynamic_update_index_in_dim, index=index, axis=axis)
        return carries, jax.tree.map(lambda b, r: put(b, r), buffers, record)

    return jax.lax.fori_loop(np.int32(0), records, one_record, (carries, buffers))


def _buffers(step: Any, capacity: int, axis: int, keys: Array, carries: Carry, phase: Array) -> tuple[Record, Record]:
    """An empty record, and the buffers of so many of them."""
    shapes = jax.eval_shape(step, keys, carries, np.int32(0), phase)[1]
    empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return empty, jax.tree.map(lambda s: jnp.zeros((*s.shape[:axis], capacity, *s.shape[axis:]), s.dtype), shapes)


def _any(old: dict[str, Array], new: dict[str, Array]) -> dict[str, Array]:
    """Stats of a thinned record: flags of any step since the last one, numbers of the last step."""
    return {name: old[name] | value if name in EVENTS else value for name, value in new.items()}


def _step(kernel: Kernel, target: Target, key: Array, carry: Carry, index: Array, phase: Array) -> Any:
    sampler = kernel.started.fill(carry.sampler)
    result = sampler.step(step_key(key, index), target, carry.state)
    state, stats = checked(sampler, carry.state, result)
    position = sampler.position(state)
    size = getattr(sampler, "step_size", None)
    kept = stats if size is None else {"step_size": size, **stats}
    record = Record(target.drawn(position), recorded(kept))
    arrays, states = carry.sampler, carry.adapters
    if kernel.adapters:
        flags = {"warmup_window": phase >= WINDOW, "warmup_window_end": phase == WINDOW_END}
        flags["warmup_window"] &= phase < FINISH
        seen = {**stats, **flags}
        tune = functools.partial(_tune, kernel, position, getattr(state, "score", None), seen, phase)
        arrays, states = jax.lax.cond(phase > 0, tune, lambda a, s: (a, s), arrays, states)
    return strong(Carry(state, arrays, states)), record


def _tune(kernel: Kernel, position: Any, score: Any, stats: Any, phase: Array, arrays: Any, states: Any) -> Any:
    sampler, new = kernel.started.fill(arrays), []
    for adapter, state in zip(kernel.adapters, states, strict=True):
        state, sampler = updated(adapter, state, sampler, position, score, stats)
        new.append(state)
    finished = sampler
    for adapter, state in zip(kernel.adapters, new, strict=True):
        finished = adapter.finish(state, finished)
    ended = dissect(finished)[1]
    going = dissect(sampler)[1]
    kept = tuple(jnp.where(phase == FINISH, a, b) for a, b in zip(ended, going, strict=True))
    return strong((kept, tuple(new)))
