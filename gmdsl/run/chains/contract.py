"""The contract of samplers and adapters, checked while the program is traced: it costs no second trace.

Stats follow the schema of ArviZ where it has a name for them. Others are kept under their own names, arrays of fixed
shape included; those that begin with an underscore are for adapters and are not recorded.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import FLAG, REAL, SCHEMA, WHOLE

_KINDS = {"f": REAL, "i": WHOLE, "u": WHOLE, "b": FLAG}


def check_pair(sampler: Sampler) -> None:
    """Refuses a sampler that gives one of init and position without the other."""
    own = [c for c in type(sampler).__mro__ if c is not Sampler and issubclass(c, Sampler)]
    given = [method for method in ("init", "position") if any(method in c.__dict__ for c in own)]
    if len(given) == 1:
        other = "position" if given == ["init"] else "init"
        raise SpecError(
            f"{type(sampler).__name__}.{given[0]}(...): a sampler that gives {given[0]} must give {other} too."
            f" Add {other}(...), or let x be the state."
        )


def check_chains(sampler: Sampler, adapters: tuple[Adapter, ...], chains: int, mode: str, split: bool) -> None:
    """Refuses rules that speak of other chains where there are too few, or where they do not run side by side."""
    for adapter in adapters:
        name, least, kind = type(adapter).__name__, adapter.chains, type(sampler).__name__
        apart = f", gm.{kind}(pooled=False)" if hasattr(sampler, "pooled") else ""
        if adapter.side_by_side and split:
            raise SpecError(
                f"sample(...): {name} of {kind} tunes all chains together, and they are split among processes. Run"
                f" them in one process, on several devices by mesh=gm.mesh(), or tune each on its own{apart}."
            )
        if adapter.side_by_side and chains > 1 and mode != "vmap":
            raise SpecError(
                f"sample(chain_mode={mode!r}): {name} of {kind} tunes all chains together, so they run side by side."
                f" Leave chain_mode out, or give a rule that tunes each chain on its own{apart}."
            )
        if chains < least:
            raise SpecError(
                f"sample(chains={chains}): {name} of {kind} learns from several chains. Take"
                f" chains={max(16, least)}, or a sampler that tunes each chain on its own, such as gm.NUTS()."
            )


def checked(sampler: Any, before: Any, result: Any) -> tuple[Any, dict[str, Any]]:
    """What a step returned, refused when the state changes structure, shape or dtype, or a stat is not what it says."""
    name = type(sampler).__name__
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)):
        raise SpecError(f"{name}.step(...): it must return (state, stats) with stats a dict. Return both.")
    old, new = jax.tree.structure(before), jax.tree.structure(result[0])
    if old != new:
        raise SpecError(f"{name}.step(...): the state went in as {old} and came out as {new}. Keep one structure.")
    for given, back in zip(_kinds(before), _kinds(result[0]), strict=True):
        if given != back:
            raise SpecError(
                f"{name}.step(...): a part of the state went in as {given} and came out as {back}. Return what came in."
            )
    for stat, value in result[1].items():
        _check_stat(name, stat, value)
    return result


def recorded(stats: dict[str, Any]) -> dict[str, Array]:
    """The stats that go into the tree."""
    return {name: jnp.asarray(value) for name, value in stats.items() if not name.startswith("_")}


def updated(adapter: Adapter, state: Any, sampler: Any, position: Any, score: Any, stats: Any) -> tuple[Any, Any]:
    """One update, refused when a stat is missing or the state of the adapter changes type."""
    rule = type(adapter).__name__
    missing = [need for need in adapter.needs if need not in stats]
    if missing:
        listed = ", ".join(name for name in stats if not name.startswith("warmup_")) or "none"
        raise SpecError(
            f"{type(sampler).__name__}.step(...): {rule} needs the stat {missing[0]!r}, but the step gives {listed}."
            " Return it in the stats, or drop the adapter."
        )
    new, sampler = adapter.update(state, sampler, position, score, stats)
    if jax.tree.structure(new) != jax.tree.structure(state) or _kinds(new) != _kinds(state):
        raise SpecError(f"{rule}.update(...): its state went in as {_kinds(state)} and came out as {_kinds(new)}.")
    return new, sampler


def _check_stat(sampler: str, stat: str, value: Any) -> None:
    """Refuses a stat under a name of the schema that is no scalar of its kind, and what is no array at all."""
    try:
        array = jnp.asarray(value)
    except TypeError:
        raise SpecError(
            f"{sampler}.step(...): the stat {stat!r} is a {type(value).__name__}. Stats are numbers or arrays."
        ) from None
    wanted = SCHEMA.get(stat)
    found = _KINDS.get(array.dtype.kind, str(array.dtype))
    if wanted is None or (array.shape == () and found == wanted):
        return
    given = f"a {found}" if array.shape == () else f"an array of shape {array.shape}"
    raise SpecError(
        f"{sampler}.step(...): the stat {stat!r} is {given}; in ArviZ's schema it is one {wanted} per draw. Return"
        f" that, or give the stat another name: others are kept as they are."
    )


def _kinds(tree: Any) -> list[str]:
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return [f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves]
