"""Chains over several devices: each device runs its share of them, as it would run them alone.

On a CPU devices are made before JAX starts, by the environment variable
`XLA_FLAGS=--xla_force_host_platform_device_count=4`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gmdsl.core.across import DEVICES
from gmdsl.core.errors import SpecError


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


def check_mesh(asked: Any, chains: int) -> None:
    """Refuses what is no mesh of chains, or one that does not divide them evenly.

    Raises:
        SpecError: says which, and the fix.
    """
    if asked is None:
        return
    if not isinstance(asked, Mesh) or asked.axis_names != (DEVICES,):
        raise SpecError(f"sample(mesh={type(asked).__name__}): a mesh of chains is needed. Make one by gm.mesh().")
    if chains % asked.size:
        raise SpecError(
            f"sample(chains={chains}, mesh=...): {asked.size} devices cannot share {chains} chains evenly."
            f" Take chains={-(-chains // asked.size) * asked.size}, or gm.mesh(jax.devices()[:n])."
        )


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
