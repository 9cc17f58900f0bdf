"""The compiled block: every chain, a fixed number of records, one program for warm-up and draws.

The static half of a run (the program of the model, the structure of the sampler, its adapters, how
chains are batched) is a `Kernel`, hashable, so that a second run of the same kind compiles nothing.
What moves is a `Carry` per chain. The key of step i depends on the chain and on i alone, so a run
does not depend on how it is cut into blocks.
"""

import dataclasses
import functools
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.core.pytrees.fields import replace
from gmdsl.core.pytrees.partition import Skeleton, is_array, strip
from gmdsl.inference.adapter import Adapter, adapters_of
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.target import Target
from gmdsl.run.chains.contract import check_pair
from gmdsl.spaces.space import Real, dtype_of


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
class Kernel:
    """The static half of a run.

    Attributes:
        target: what tells the structure of the compiled model from others.
        given: structure of the sampler as the user made it.
        started: its structure once the adapters have filled in their fields.
        adapters: the rules that tune it during warm-up.
        mode: "vmap" (chains side by side), "map" (one after the other) or "tile" (so many at a time).
        capacity: records in a block.
        thin: steps per record.
        mesh: devices that share the chains; None for the default one.
        each: whether each chain begins with settings of its own.
    """

    target: Hashable
    given: Skeleton
    started: Skeleton
    adapters: tuple[Adapter, ...]
    mode: str
    capacity: int
    thin: int
    mesh: Any = None
    each: bool = False


def make_kernel(
    target: Target, sampler: Sampler, mode: str, capacity: int, thin: int, mesh: Any = None, each: bool = False
) -> tuple[Kernel, Any]:
    """The kernel of a sampler on a compiled model, and the arrays of the sampler; with `each`, one set for each chain.

    Raises:
        SpecError: an adapter does not fit the sampler, or it gives one of init and position only.
    """
    check_pair(sampler)
    given, arrays = dissect(_floats(sampler))
    adapters = adapters_of(sampler)
    shapes = tuple((a.shape[1:] if each else a.shape, a.dtype) for a in arrays)
    started = _started_settings(given, adapters, target.dim, shapes)
    return Kernel(jax.tree.structure(target), given, started, adapters, mode, capacity, thin, mesh, each), arrays


@functools.lru_cache(maxsize=256)
def _started_settings(given: Skeleton, adapters: tuple[Adapter, ...], dim: int, shapes: Any) -> Skeleton:
    """The structure of a sampler once its adapters have filled in their fields, by a trace."""
    found: list[Skeleton] = []

    def start(arrays: tuple[Array, ...]) -> Any:
        started, _ = start_adapters(given.fill(arrays), adapters, dim)
        settings, leaves = dissect(started)
        found.append(settings)
        return leaves

    jax.eval_shape(start, tuple(jax.ShapeDtypeStruct(*shape) for shape in shapes))
    return found[0]


def started_sampler(sampler: Sampler, dim: int) -> Any:
    """The sampler once its adapters have filled in their fields."""
    return start_adapters(_floats(sampler), adapters_of(sampler), dim)[0]


def start_adapters(sampler: Any, adapters: tuple[Adapter, ...], dim: int) -> tuple[Any, list[Any]]:
    """The sampler with the fields that its adapters fill in, and their states."""
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


def dissect(sampler: Any) -> tuple[Skeleton, tuple[Any, ...]]:
    """Floats and arrays of a sampler become arrays of strong type; the rest is structure."""
    return strip(sampler, traced=_is_number, convert=_array, any_shape=True)


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, float) or is_array(leaf)


def _array(leaf: Any) -> Any:
    if isinstance(leaf, float):
        return np.asarray(leaf, dtype_of(Real()))
    return jnp.asarray(leaf, dtype_of(Real())) if jnp.issubdtype(leaf.dtype, jnp.floating) else jnp.asarray(leaf)
