"""The adapter contract: what is tuned during warm-up, from what, and then frozen.

An adapter works on any sampler that has the fields it tunes. The driver calls `start` once per
chain, `update` after every warm-up step and `finish` at the last one; after that nothing moves.
Besides the stats of the sampler, `update` sees two flags of the driver's schedule:
`warmup_window` (the draw belongs to a window that estimates scales) and `warmup_window_end`.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.sampler import Sampler, Stats


class Adapter(eqx.Module):
    """Settings of one adaptation rule.

    Class attributes:
        tunes: names of the sampler's fields that the rule sets.
        needs: names of the stats that it reads.
    """

    tunes: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def start(self, sampler: Sampler, dim: int) -> tuple[Any, Sampler]:
        """The state of the rule, and the sampler with its fields filled in."""

    @abc.abstractmethod
    def update(
        self, state: Any, sampler: Sampler, position: Float[Array, " dim"], score: Any, stats: Stats
    ) -> tuple[Any, Sampler]:
        """After one warm-up step. `score` is None unless the sampler's state holds one."""

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
