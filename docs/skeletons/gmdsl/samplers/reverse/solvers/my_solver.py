r"""The midpoint rule for the probability flow, of order two.

Reference:
    Author, *Title*, year.
"""

from typing import Any

from jaxtyping import Array

from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.process import Scalar
from gmdsl.diffusion.solver import Solver


class MySolver(Solver):
    """Two evaluations of the score per step."""

    def step(self, family: FlatFamily, x: Array, t: Scalar, s: Scalar, memory: Any) -> tuple[Array, Any]:
        half = x - 0.5 * (t - s) * family.velocity(x, t)
        return x - (t - s) * family.velocity(half, 0.5 * (t + s)), memory
