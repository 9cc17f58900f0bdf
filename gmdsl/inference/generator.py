"""The generator contract: independent draws, each made from nothing.

A generator may learn something before its first draw (`prepare`). Draws may carry a `log_weight`; the driver
then resamples them, and their log-mean-exp estimates the log normalising constant.
"""

import abc
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float

type Stats = dict[str, Any]


class Generator(eqx.Module):
    """Makes independent draws. Subclasses give `draw`.

    Class attributes:
        reverses: True when the target is a noised family (`gmdsl.diffusion.flat_family.FlatFamily`), False when it is
            the flat density of a model (`gmdsl.inference.target.Target`).
        bias: how the law of the draws differs from the target's; None when it does not.
        single: True when there is one point and no draws.
        resamples: whether weighted draws are resampled by their weights.
    """

    reverses: ClassVar[bool] = True
    bias: ClassVar[str | None] = None
    single: ClassVar[bool] = False
    resamples: ClassVar[bool] = True

    def prepare(self, key: Array, target: Any, report: Any) -> "Generator":
        """The generator after learning what it needs; by default it needs nothing.

        Args:
            key: a random key.
            target: what is sampled.
            report: called as `report(done, total)` now and then.
        """
        del key, target, report
        return self

    def found(self, target: Any) -> dict[str, Any]:
        """What `prepare` found, arrays by name, for the group `approximation` of the tree; by default nothing."""
        del target
        return {}

    @abc.abstractmethod
    def draw(self, key: Array, target: Any) -> tuple[Float[Array, " dim"], Stats]:
        """One draw, and stats by name (`log_weight` where draws are weighted)."""
