"""Chains over several devices: each device runs its share of them, as it would run them alone.

On a CPU devices are made before JAX starts, by the environment variable
`XLA_FLAGS=--xla_force_host_platform_device_count=4`. After `jax.distributed.initialize` a mesh has the devices of all
processes; chains need nothing of each other, so each process runs those of its own devices, by a program of its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gmdsl.core.errors import SpecError
from gmdsl.inference.collectives import DEVICES
from gmdsl.run.parallel.placement import ALONE, Place


def mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """Devices that share the chains of a run, `gm.sample(..., mesh=gm.mesh())`.

    Args:
        devices: which; all that JAX sees when None.

    Raises:
        SpecError: no device.

    >>> mesh().axis_names
    ('chains',)
    """
    import numpy as np

    found = jax.devices() if devices is None else list(devices)
    if not found:
        raise SpecError("mesh([]): at least one device is needed. Leave it out to use all that JAX sees.")
    return Mesh(np.array(found), (DEVICES,))


def check_mesh(asked: Any, chains: int, place: Place = ALONE) -> None:
    """Refuses what is no mesh of chains, or devices and processes that cannot share them.

    Raises:
        SpecError: says which, and the fix.
    """
    if chains < place.count:
        raise SpecError(
            f"sample(chains={chains}): {place.count} processes cannot share {chains} chains. Take"
            f" chains={place.count} or more, or fewer processes."
        )
    if asked is None:
        return
    if not isinstance(asked, Mesh) or asked.axis_names != (DEVICES,):
        raise SpecError(f"sample(mesh={type(asked).__name__}): a mesh of chains is needed. Make one by gm.mesh().")
    mine = len(_own_devices(asked))
    size = place.count * mine
    if place.joined and asked.size != size:
        raise SpecError(
            f"sample(mesh=...): {place.count} processes have {asked.size} devices in it, this one {mine}. Use as many"
            " of each."
        )
    if chains % size:
        raise SpecError(
            f"sample(chains={chains}, mesh=...): {size} devices cannot share {chains} chains evenly."
            f" Take chains={-(-chains // size) * size}, or gm.mesh(jax.devices()[:n])."
        )


def local(asked: Mesh | None) -> Mesh | None:
    """The part of a mesh that belongs to this process."""
    return None if asked is None else mesh(_own_devices(asked))


def spans(asked: Any) -> bool:
    """Whether a mesh has devices of several processes."""
    return isinstance(asked, Mesh) and len({device.process_index for device in asked.devices.flat}) > 1


def over(asked: Mesh | None, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of (keys, carries, what is shared), run on each device for its chains."""
    if asked is None:
        return function
    mine, shared = PartitionSpec(DEVICES), PartitionSpec()
    return jax.shard_map(function, mesh=asked, in_specs=(mine, mine, shared), out_specs=mine, check_vma=False)


def spread(asked: Mesh | None, tree: Any) -> Any:
    """Arrays with a leading axis of chains, laid over the devices."""
    return tree if asked is None else jax.device_put(tree, NamedSharding(asked, PartitionSpec(DEVICES)))


def everywhere(asked: Mesh | None, tree: Any) -> Any:
    """Arrays that every device has whole."""
    return tree if asked is None else jax.device_put(tree, NamedSharding(asked, PartitionSpec()))


def _own_devices(asked: Mesh) -> list[Any]:
    return [device for device in asked.devices.flat if device.process_index == jax.process_index()]
