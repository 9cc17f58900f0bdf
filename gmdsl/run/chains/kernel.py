"""The compiled block: every chain, a fixed number of records, one program for warm-up and draws.

The static half of a run (the program of the model, the structure of the sampler, its adapters, how
chains are batched) is a `Kernel`, hashable, so that a second run of the same kind compiles nothing.
What moves is a `Carry` per chain. The key of step i depends on the chain and on i alone, so a run
does not depend on how it is cut into blocks.
"""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.compiler.program import FlatTarget, Program
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace, strong
from gmdsl.core.pytrees.reads import ARRAYS
from gmdsl.core.random.keys import as_keys, step_key
from gmdsl.core.runtime.precision import full_precision
from gmdsl.inference.adapter import Adapter, adapters_of
from gmdsl.inference.collectives import LANES
from gmdsl.inference.sampler import Sampler
from gmdsl.run.chains.contract import check_pair, checked, recorded, updated
from gmdsl.run.chains.warmup import FINISH, WINDOW, WINDOW_END
from gmdsl.run.parallel.mesh import over
from gmdsl.spaces.space import Real, dtype_of

WIDEST = 128  # chains side by side at most before XLA's CPU code falls off a cliff

_ARRAY = "<array>"
_START = 0x7FFFFFFF  # the step index whose key starts a chain; no run is that long


class Carry(NamedTuple):
    """What one chain carries from step to step."""

    state: Any
    sampler: tuple[Array, ...]
    adapters: tuple[Any, ...]


class Record(NamedTuple):
    """What one step leaves behind."""

    position: Array
    stats: dict[str, Array]


@dataclass(frozen=True)
class Settings:
    """A sampler's structure: what is static, and where its arrays go."""

    treedef: Any
    statics: tuple[Any, ...]
    kinds: tuple[str, ...] = ()  # types of the statics: True and 1 are equal and not the same

    def sampler(self, arrays: tuple[Array, ...]) -> Any:
        """The sampler with these arrays in place of its numbers."""
        given = iter(arrays)
        return jax.tree.unflatten(self.treedef, [next(given) if s is _ARRAY else s for s in self.statics])


@dataclass(frozen=True)
class Kernel:
    """The static half of a run.

    Attributes:
        program: the compiled model.
        given: structure of the sampler as the user made it.
        started: its structure once the adapters have filled in their fields.
        adapters: the rules that tune it during warm-up.
        mode: "vmap" (chains side by side), "map" (one after the other) or "tile" (so many at a time).
        capacity: records in a block.
        thin: steps per record.
        mesh: devices that share the chains; None for the default one.
        each: whether each chain begins with settings of its own.
    """

    program: Program
    given: Settings
    started: Settings
    adapters: tuple[Adapter, ...]
    mode: str
    capacity: int
    thin: int
    mesh: Any = None
    each: bool = False


def make_kernel(
    program: Program, sampler: Sampler, mode: str, capacity: int, thin: int, mesh: Any = None, each: bool = False
) -> tuple[Kernel, Any]:
    """The kernel of a sampler on a program, and the arrays of the sampler; with `each`, one set for each chain.

    Raises:
        SpecError: an adapter does not fit the sampler, or it gives one of init and position only.
    """
    check_pair(sampler)
    given, arrays = _dissect(_floats(sampler))
    adapters = adapters_of(sampler)
    shapes = tuple((a.shape[1:] if each else a.shape, a.dtype) for a in arrays)
    started = _started_settings(given, adapters, program.plan.dim, shapes)
    return Kernel(program, given, started, adapters, mode, capacity, thin, mesh, each), arrays


@functools.lru_cache(maxsize=256)
def _started_settings(given: Settings, adapters: tuple[Adapter, ...], dim: int, shapes: Any) -> Settings:
    """The structure of a sampler once its adapters have filled in their fields, by a trace."""
    found: list[Settings] = []

    def start(arrays: tuple[Array, ...]) -> Any:
        started, _ = _started(given.sampler(arrays), adapters, dim)
        settings, leaves = _dissect(started)
        found.append(settings)
        return leaves

    jax.eval_shape(start, tuple(jax.ShapeDtypeStruct(*shape) for shape in shapes))
    return found[0]


def started_sampler(sampler: Sampler, dim: int) -> Any:
    """The sampler once its adapters have filled in their fields."""
    return _started(_floats(sampler), adapters_of(sampler), dim)[0]


class _Evaluated(FlatTarget):
    """A target that was evaluated at a point already, and is not a second time where a sampler asks for the same."""

    point: Any
    found: Any

    def log_density_and_score(self, x: Any) -> Any:
        return self.found if x is self.point else super().log_density_and_score(x)


@functools.partial(jax.jit, static_argnums=0)
@full_precision
def start_chains(kernel: Kernel, leaves: Any, hoisted: Any, arrays: Any, keys: Array, x: Array) -> Any:
    """The carries at the starts, the log-densities there, and whether the gradients are finite."""
    target = FlatTarget(kernel.program, leaves, hoisted)

    def one(key: Array, x: Array, arrays: Any) -> Any:
        lp, score = target.log_density_and_score(x)
        sampler, states = _started(kernel.given.sampler(arrays), kernel.adapters, target.dim)
        there = _Evaluated(kernel.program, leaves, hoisted, x, (lp, score))
        state = sampler.init(jax.random.fold_in(as_keys(key), _START), there, x)
        if jnp.shape(sampler.position(state)) != x.shape:
            found = jnp.shape(sampler.position(state))
            raise SpecError(f"{type(sampler).__name__}.position(...): shape {found}, a vector of {x.shape} is needed.")
        carry = Carry(state, _dissect(sampler)[1], tuple(states))
        return strong(carry), lp, jnp.isfinite(score).all()

    if kernel.mode == "tile" and not kernel.each and kernel.mesh is None:
        several = jax.vmap(lambda at: one(*at, arrays))
        return in_tiles(several, (keys, x), tile_size(keys.shape[0]))
    lanes = LANES if kernel.mode == "vmap" else None  # as in the block, so that the density is traced once for both
    return jax.vmap(one, (0, 0, 0 if kernel.each else None), axis_name=lanes)(keys, x, arrays)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=4)
@full_precision
def run_block(
    kernel: Kernel, leaves: Any, hoisted: Any, keys: Array, carries: Carry, first: Array, records: Array, phases: Array
) -> tuple[Carry, Record]:
    """Up to `capacity` records of every chain.

    Args:
        kernel: the static half.
        leaves: arrays of the model.
        hoisted: its constant terms.
        keys: the words of one key per chain (`gmdsl.core.random.keys`).
        carries: one carry per chain; given back to the device.
        first: index of the first step.
        records: how many records to make; the rest of the buffers stays empty.
        phases: phase of each step of the block (`gmdsl.run.chains.warmup`).
    """
    some = functools.partial(_some_chains, kernel)
    shared = (leaves, hoisted, first, records, phases)
    return over(kernel.mesh, some)(keys, carries, shared)


def _some_chains(kernel: Kernel, keys: Array, carries: Carry, shared: Any) -> tuple[Carry, Record]:
    """The block of the chains of one device."""
    leaves, hoisted, first, records, phases = shared
    target = FlatTarget(kernel.program, leaves, hoisted)

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
    (keys, carries), step = chains, jax.jit(step)  # for its shapes and for the loop, which trace it once
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
    flags = {name for name in ("diverging", "nan_evaluations", "reached_max_treedepth") if name in new}
    return {name: old[name] | value if name in flags else value for name, value in new.items()}


def in_tiles(several: Any, chains: Any, size: int) -> Any:
    """What a function makes of so many chains at a time, and then of those that are left over."""
    count = jax.tree.leaves(chains)[0].shape[0] // size
    whole = jax.tree.map(lambda a: a[: count * size].reshape(count, size, *a.shape[1:]), chains)
    found = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), jax.lax.map(several, whole))
    if jax.tree.leaves(chains)[0].shape[0] == count * size:
        return found
    rest = several(jax.tree.map(lambda a: a[count * size :], chains))
    return jax.tree.map(lambda a, b: jnp.concatenate((a, b)), found, rest)


def tile_size(chains: int) -> int:
    """How many chains are run side by side at a time: a divisor of their number, where a good one exists.

    >>> tile_size(1000), tile_size(10_000), tile_size(257)
    (125, 125, 128)
    """
    divisors = [n for n in range(32, WIDEST + 1) if chains % n == 0]
    return max(divisors, default=WIDEST)


def _step(kernel: Kernel, target: FlatTarget, key: Array, carry: Carry, index: Array, phase: Array) -> Any:
    sampler = kernel.started.sampler(carry.sampler)
    result = sampler.step(step_key(key, index), target, carry.state)
    state, stats = checked(sampler, carry.state, result)
    position = sampler.position(state)
    size = getattr(sampler, "step_size", None)
    kept = stats if size is None else {"step_size": size, **stats}
    record = Record(position, recorded(kept))
    arrays, states = carry.sampler, carry.adapters
    if kernel.adapters:
        flags = {"warmup_window": phase >= WINDOW, "warmup_window_end": phase == WINDOW_END}
        flags["warmup_window"] &= phase < FINISH
        seen = {**stats, **flags}
        tune = functools.partial(_tune, kernel, position, getattr(state, "score", None), seen, phase)
        arrays, states = jax.lax.cond(phase > 0, tune, lambda a, s: (a, s), arrays, states)
    return strong(Carry(state, arrays, states)), record


def _tune(kernel: Kernel, position: Any, score: Any, stats: Any, phase: Array, arrays: Any, states: Any) -> Any:
    sampler, new = kernel.started.sampler(arrays), []
    for adapter, state in zip(kernel.adapters, states, strict=True):
        state, sampler = updated(adapter, state, sampler, position, score, stats)
        new.append(state)
    finished = sampler
    for adapter, state in zip(kernel.adapters, new, strict=True):
        finished = adapter.finish(state, finished)
    ended = _dissect(finished)[1]
    going = _dissect(sampler)[1]
    kept = tuple(jnp.where(phase == FINISH, a, b) for a, b in zip(ended, going, strict=True))
    return strong((kept, tuple(new)))


def _started(sampler: Any, adapters: tuple[Adapter, ...], dim: int) -> tuple[Any, list[Any]]:
    states = []
    for adapter in adapters:
        state, sampler = adapter.start(sampler, dim)
        states.append(state)
    return sampler, states


def _floats(sampler: Any) -> Any:
    """Whole numbers given for fields declared `float` become floats: `step_size=1` can be tuned."""
    declared = {f.name for f in dataclasses.fields(sampler) if f.type in (float, "float")}
    tuned = {name for adapter in adapters_of(sampler) for name in adapter.tunes}
    values = {name: getattr(sampler, name) for name in declared | tuned}
    numbers = (int, np.integer, np.floating)
    whole = {n: float(v) for n, v in values.items() if isinstance(v, numbers) and not isinstance(v, bool)}
    return replace(sampler, **whole) if whole else sampler


def _dissect(sampler: Any) -> tuple[Settings, tuple[Any, ...]]:
    """Floats and arrays of a sampler become arrays of strong type; the rest is structure."""
    flat, treedef = jax.tree.flatten(sampler)
    moves = [isinstance(leaf, (float, *ARRAYS)) for leaf in flat]
    statics = tuple(_ARRAY if moving else leaf for leaf, moving in zip(flat, moves, strict=True))
    arrays = tuple(_array(leaf) for leaf, moving in zip(flat, moves, strict=True) if moving)
    return Settings(treedef, statics, tuple(type(s).__name__ for s in statics)), arrays


def _array(leaf: Any) -> Any:
    if isinstance(leaf, float):
        return np.asarray(leaf, dtype_of(Real()))
    return jnp.asarray(leaf, dtype_of(Real())) if jnp.issubdtype(leaf.dtype, jnp.floating) else jnp.asarray(leaf)
