r"""Euler's method for the probability flow: $x \leftarrow x - \Delta\, v(x, t)$, of order one."""

from typing import Any

from jaxtyping import Array

from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.process import Scalar
from gmdsl.diffusion.solver import Solver


class Euler(Solver):
    """One evaluation of the score per step."""

    def step(self, family: FlatFamily, x: Array, t: Scalar, s: Scalar, memory: Any) -> tuple[Array, Any]:
        return x - (t - s) * family.velocity(x, t), memory
