"""The adapter contract: what is tuned during warm-up, from what, and then frozen.

An adapter works on any sampler that has the fields it tunes. The driver calls `start` once per
chain, `update` after every warm-up step and `finish` at the last one; after that nothing moves.
Besides the stats of the sampler, `update` sees two flags of the driver's schedule:
`warmup_window` (the draw belongs to a window that estimates scales) and `warmup_window_end`. Stats whose names
begin with an underscore, such as `_proposal`, are for adapters only: they are not recorded.
"""

import abc
import dataclasses
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats


class Adapter(eqx.Module):
    """Settings of one adaptation rule. Subclasses give `start`, `update` and `finish`.

    `tunes`, `needs`, `chains` and `side_by_side` are class attributes, or properties where they depend on settings.
    """

    @property
    def tunes(self) -> tuple[str, ...]:
        """Names of the sampler's fields that the rule sets."""
        return ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the stats that it reads."""
        return ()

    @property
    def chains(self) -> int:
        """Least number of chains side by side that it needs; 1 for a rule that tunes each chain on its own.

        A rule that cannot do without other chains (`gmdsl.inference.collectives`) gives 2 or more; one that
        speaks of them where there are any says so by `side_by_side`.
        """
        return 1

    @property
    def side_by_side(self) -> bool:
        """Whether chains run side by side while it tunes, because it speaks of other chains where there are any."""
        return self.chains > 1

    @abc.abstractmethod
    def start(self, sampler: Sampler, dim: int) -> tuple[Any, Sampler]:
        """The state of the rule, and the sampler with its fields filled in."""

    @abc.abstractmethod
    def update(
        self, state: Any, sampler: Sampler, position: Float[Array, " dim"], score: Any, stats: Stats
    ) -> tuple[Any, Sampler]:
        """After one warm-up step. `score` is None unless the sampler's state holds one."""

    def update_all(
        self, state: Any, sampler: Sampler, positions: Float[Array, "chains dim"], scores: Any, stats: Stats
    ) -> tuple[Any, Sampler]:
        """After one warm-up step of all chains at once, for `gm.adapt.CrossChain`.

        Args:
            state: what `update` carries, here one for all chains.
            sampler: the sampler, the same for all chains.
            positions: of all chains.
            scores: of all chains, (chains, dim), or None.
            stats: those that the rule needs, each with a leading axis of chains, and the flags of the schedule.

        Raises:
            SpecError: the rule does not say how chains are pooled.
        """
        del state, positions, scores, stats
        rule = type(self).__name__
        raise SpecError(
            f"{type(sampler).__name__}.adapts: CrossChain({rule}(...)) pools chains, and {rule} does not say how."
            " Give it update_all(state, sampler, positions, scores, stats), or leave CrossChain out."
        )

    @abc.abstractmethod
    def finish(self, state: Any, sampler: Sampler) -> Sampler:
        """The sampler as it stays for all draws."""


def adapters_of(sampler: Sampler) -> tuple[Adapter, ...]:
    """The adapters of a sampler, checked against its fields.

    Raises:
        SpecError: an adapter tunes a field that the sampler does not have.
    """
    declared = sampler.adapts
    adapters = () if declared is None else declared if isinstance(declared, tuple | list) else (declared,)
    fields = {field.name for field in dataclasses.fields(sampler)}
    for adapter in adapters:
        missing = [name for name in adapter.tunes if name not in fields]
        if missing:
            raise SpecError(
                f"{type(sampler).__name__}.adapts: {type(adapter).__name__} tunes {missing[0]}, which the sampler does"
                f" not have; its fields are {', '.join(sorted(fields)) or 'none'}. Add the field or drop the adapter."
            )
    return tuple(adapters)
