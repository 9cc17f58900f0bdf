"""The generator contract: independent draws, each made from nothing.

A generator may learn something before its first draw (`prepare`). Draws may carry a `log_weight`; the driver
then resamples them, and their log-mean-exp estimates the log normalising constant.
"""

import abc
from typing import Any, NamedTuple, Self

import equinox as eqx
from jaxtyping import Array, Float

from gmdsl.core.settings import Checked
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class Prepared[G](NamedTuple):
    """A generator that is ready to draw.

    Attributes:
        generator: the generator with what it has learned.
        found: what it found, arrays by name, for the group `approximation` of the tree.
        most: how many draws there are at most; None for any number.
        points: all flat draws that there are, (most, dim), where they are a set that is taken as it is, without
            `draw`; None where each is made anew.
    """

    generator: G
    found: dict[str, Any] = {}  # noqa: RUF012
    most: int | None = None
    points: Any = None


class Generator(Checked, eqx.Module):
    """Makes independent draws. Subclasses give `draw`; the rest has defaults.

    Its `target` is of the class that it `takes`. A `gmdsl.inference.target.Target` is a density on flat unconstrained
    vectors: `target.dim` is their length, `target.log_density(x)` and `target.score(x)` the log-density with the
    Jacobian and its gradient at a vector of shape (dim,). Values of the model's variables are made of the vectors
    by the driver. A `FlatFamily` is a noised family on such vectors: `score(x, t)`, `denoise(x, t)`, `velocity(x, t)`,
    with its `process`.

    `takes`, `bias` and `resamples` are class attributes, or properties where they depend on settings.
    """

    @property
    def takes(self) -> type:
        """The class of what it draws from: the flat density of a model, or `gmdsl.diffusion.flat_family.FlatFamily`."""
        return Target

    @property
    def bias(self) -> str | None:
        """How the law of the draws differs from the target's; None when it does not."""
        return None

    @property
    def resamples(self) -> bool:
        """Whether weighted draws are resampled by their weights."""
        return True

    def prepare(self, key: Array, target: Any, report: Any) -> Prepared[Self]:
        """The generator after learning what it needs; by default it needs nothing.

        Args:
            key: a random key.
            target: what is sampled.
            report: called as `report(done, total)` now and then.
        """
        del key, target, report
        return Prepared(self)

    @abc.abstractmethod
    def draw(self, key: Array, target: Any) -> tuple[Float[Array, " dim"], Stats]:
        """One draw, and stats by name (`log_weight` where draws are weighted)."""
