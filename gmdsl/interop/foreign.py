"""What kernels of other libraries have in common: settings held by content, statistics under ArviZ's names.

Reference:
    ArviZ, *InferenceData schema specification*, "sample_stats".
"""

import types
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from gmdsl.core.pytrees.function import Constant, Function
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import FLAG, SCHEMA, Stats

ARVIZ = {
    "accept_prob": "acceptance_rate",
    "energy_change": "energy_error",
    "is_accepted": "accepted",
    "is_divergent": "diverging",
    "num_integration_steps": "n_steps",
    "num_steps": "n_steps",
    "num_trajectory_expansions": "tree_depth",
}


class ForeignKernel(Sampler):
    """What samplers made of kernels of other libraries hold.

    Attributes:
        maker: makes the kernel.
        label: its name, the same in every process.
        step_size, inverse_mass: settings that adapters tune; None for those it does not have.
        others: all other settings; numbers and arrays are traced.
        rules: the adapters.
        declared: the bias, in words.
        side_by_side: False when the work of a step differs much between chains.
    """

    maker: Constant
    label: str = eqx.field(static=True)
    step_size: Any = None
    inverse_mass: Any = None
    others: dict[str, Any] = eqx.field(default_factory=dict)
    rules: tuple[Adapter, ...] = ()
    declared: str | None = eqx.field(static=True, default=None)
    side_by_side: bool = eqx.field(static=True, default=True)

    @property
    def adapts(self) -> Any:
        return self.rules

    @property
    def bias(self) -> str | None:
        return self.declared

    @property
    def lockstep(self) -> bool:
        return self.side_by_side


def stats_of(info: Any, leave: tuple[str, ...] = ()) -> Stats:
    """The scalars among the fields of a named tuple, under ArviZ's names where there is one.

    >>> from collections import namedtuple
    >>> stats_of(namedtuple("Info", "is_divergent momentum weight")(False, jnp.zeros(3), 0.5))
    {'diverging': Array(False, dtype=bool), 'weight': Array(0.5, dtype=float32, weak_type=True)}
    """
    told = {}
    for name, value in info._asdict().items() if hasattr(info, "_asdict") else ():
        if name in leave or not _is_scalar(value):
            continue
        known = ARVIZ.get(name, name)
        told[known] = jnp.asarray(value, bool) if SCHEMA.get(known) == FLAG else jnp.asarray(value)
    return told


def reached_depth(told: Stats, limit: Any) -> Stats:
    """The statistics with `reached_max_treedepth`, where a tree was doubled as often as its limit allows.

    Args:
        told: by ArviZ's names; a tree tells `n_steps`, and some `tree_depth`.
        limit: doublings at most; a pair gives those of warm-up and afterwards. None for kernels without trees.

    >>> bool(reached_depth({"n_steps": jnp.asarray(7)}, 3)["reached_max_treedepth"])
    True
    """
    if limit is None or not {"n_steps", "tree_depth"} & told.keys():
        return told
    most = jnp.asarray(limit[-1] if isinstance(limit, tuple | list) else limit)
    full = told["tree_depth"] >= most if "tree_depth" in told else told["n_steps"] >= 2**most - 1
    return {**told, "reached_max_treedepth": full & ~jnp.asarray(told.get("diverging", False))}


def held(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as leaves of a sampler: functions and other objects are compared by content."""
    return {name: _hold(value) for name, value in settings.items()}


def freed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they were given."""
    return {name: _free(value) for name, value in settings.items()}


def _hold(value: Any) -> Any:
    if isinstance(value, types.FunctionType):
        return Function(value)
    plain = value is None or isinstance(value, bool | int | float | str) or hasattr(value, "dtype")
    return value if plain else Constant(value)


def _free(value: Any) -> Any:
    if isinstance(value, Function):
        return value.function
    return value.value if isinstance(value, Constant) else value


def _is_scalar(value: Any) -> bool:
    if isinstance(value, bool | int | float):
        return True
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return shape == () and dtype is not None and not jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)
