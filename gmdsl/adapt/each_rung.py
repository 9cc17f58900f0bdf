"""A kernel once for each rung of a path, and its adapters, which tune it at every rung on its own.

What one adapter does for one kernel is mapped over the rungs: settings, states, positions and stats have a leading
axis of rungs. Stats of the rungs are named with a prefix that keeps them out of the record (`gmdsl.inference.adapter`).
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.inference.adapter import Adapter
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats

OF_RUNG = "_rung_"  # before the name of a stat of every rung, which adapters read


class EachRung(eqx.Module):
    """The adapters of a kernel at every rung.

    Attributes:
        rules: adapters of the kernel.
        rungs: how many there are.
    """

    rules: tuple[Adapter, ...]
    rungs: int = eqx.field(static=True)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the stats that are read, with the prefix of rungs."""
        return tuple(f"{OF_RUNG}{name}" for rule in self.rules for name in rule.needs)

    def start(self, move: Sampler, dim: int) -> tuple[tuple[Any, ...], Any]:
        """The states of the adapters, and the kernels of all rungs.

        Args:
            move: the kernel as the user made it.
            dim: length of the flat vector of one copy.
        """
        moves, states = stacked(move, self.rungs), []
        for rule in self.rules:
            state, moves = eqx.filter_vmap(lambda move, rule=rule: rule.start(move, dim))(moves)
            states.append(state)
        return tuple(states), moves

    def update(
        self, states: tuple[Any, ...], moves: Any, positions: Float[Array, "rungs part"], stats: Stats
    ) -> tuple[tuple[Any, ...], Any]:
        """After one step of every rung; `stats` are those of the driver, of which the prefixed ones are read."""
        own = {name.removeprefix(OF_RUNG): value for name, value in stats.items() if name.startswith(OF_RUNG)}
        flags = {name: value for name, value in stats.items() if name.startswith("warmup_")}
        after = []
        for rule, before in zip(self.rules, states, strict=True):
            state, moves = eqx.filter_vmap(
                lambda before, move, x, own, rule=rule: rule.update(before, move, x, None, {**own, **flags})
            )(before, moves, positions, own)
            after.append(state)
        return tuple(after), moves

    def finish(self, states: tuple[Any, ...], moves: Any) -> Any:
        """The kernels as they stay for all draws."""
        for rule, before in zip(self.rules, states, strict=True):
            moves = eqx.filter_vmap(lambda before, move, rule=rule: rule.finish(before, move))(before, moves)
        return moves


def of_rungs(told: Mapping[str, Any]) -> Stats:
    """Stats of all rungs under the names that `EachRung` reads.

    >>> of_rungs({"acceptance_rate": [0.5, 0.9]})
    {'_rung_acceptance_rate': [0.5, 0.9]}
    """
    return {f"{OF_RUNG}{name}": value for name, value in told.items()}


def stacked(move: Sampler, rungs: int) -> Any:
    """The kernel once for each rung: its arrays and floats with a leading axis of rungs."""

    def spread(leaf: Any) -> Any:
        if not isinstance(leaf, float) and not eqx.is_array(leaf):
            return leaf
        return jnp.broadcast_to(jnp.asarray(leaf), (rungs, *jnp.shape(leaf)))

    return jax.tree.map(spread, move)
