"""The solver contract: one step of the probability flow from time t to an earlier time s."""

import abc
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from gmdsl.core.settings import Checked
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.process import Scalar
from gmdsl.diffusion.time_grid import PowerGrid, TimeGrid


class Solver(Checked, eqx.Module):
    """Moves a point along the probability flow. Subclasses give `step`; what they remember goes in `memory`.

    Class attributes:
        prefers: the grid that suits it.
    """

    prefers: ClassVar[TimeGrid] = PowerGrid()

    def floor(self, family: FlatFamily) -> Any:
        """The noise below which `gm.LogSNRGrid` comes to an end, in units of the data; 0 for that at `t_min`."""
        del family
        return 0.0

    def init(self, family: FlatFamily, x: Float[Array, " dim"]) -> Any:
        """What is remembered before the first step; by default nothing."""
        del family, x
        return ()

    @abc.abstractmethod
    def step(
        self, family: FlatFamily, x: Float[Array, " dim"], t: Scalar, s: Scalar, memory: Any
    ) -> tuple[Float[Array, " dim"], Any]:
        """The point at time s < t, and what is remembered."""
