r"""Heun's method for the probability flow: the mean of the velocities at both ends of a step, of order two.

The last step ends at t = 0, where a learned score is not finite; it is then a step of Euler's method.

Reference:
    Karras et al., *Elucidating the design space of diffusion-based generative models*, 2022,
    arXiv:2206.00364 (algorithm 1).
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.process import Scalar
from gmdsl.diffusion.solver import Solver


class Heun(Solver):
    """Two evaluations of the score per step."""

    def step(self, family: FlatFamily, x: Array, t: Scalar, s: Scalar, memory: Any) -> tuple[Array, Any]:
        here = family.velocity(x, t)
        ahead = family.velocity(x - (t - s) * here, jnp.maximum(s, family.first))
        both = 0.5 * (here + ahead)
        return x - (t - s) * jnp.where(s < family.first, here, both), memory
