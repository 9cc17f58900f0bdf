r"""iPNDM: the classical Adams-Bashforth coefficients on the expected noise, with the exact transfer of DDIM.

$x_s / \alpha_s = x_t / \alpha_t + (\rho_s - \rho_t)\, \bar\epsilon$ with $\rho = \sigma / \alpha$ and, of order four,
$\bar\epsilon = (55\, \hat\epsilon_0 - 59\, \hat\epsilon_1 + 37\, \hat\epsilon_2 - 9\, \hat\epsilon_3) / 24$. The
first steps take the formulas of lower order. The coefficients are those of steps that are equal in $\rho$: there the
order is as stated. On another smooth grid it is two, yet few steps go far, for the weights do not grow as the steps
shrink.

Reference:
    Liu et al., *Pseudo numerical methods for diffusion models on manifolds*, 2022, arXiv:2202.09778;
    Zhang, Chen, 2022, arXiv:2204.13902 (the improved form, without a Runge-Kutta start).
"""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.errors import check_one_of
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.multistep import Past
from gmdsl.diffusion.process import Scalar
from gmdsl.diffusion.solver import Solver
from gmdsl.diffusion.time_grid import LogSNRGrid, TimeGrid, noise_ratio

ADAMS = (
    (1.0, 0.0, 0.0, 0.0),
    (3 / 2, -1 / 2, 0.0, 0.0),
    (23 / 12, -16 / 12, 5 / 12, 0.0),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


class IPNDM(Solver):
    """One evaluation of the denoiser per step.

    Attributes:
        order: from 1 (DDIM) to 4.
    """

    order: int = eqx.field(static=True, default=3)

    prefers: ClassVar[TimeGrid] = LogSNRGrid()

    def __check_init__(self) -> None:
        check_one_of(self, "order", 1, 2, 3, 4)

    def init(self, family: FlatFamily, x: Array) -> Past:
        return Past.empty(self.order, x)

    def step(self, family: FlatFamily, x: Array, t: Scalar, s: Scalar, memory: Any) -> tuple[Array, Any]:
        process, clean = family.process, family.denoise(x, t)
        noise = process.noise_of(x, clean, t)
        memory = memory.remember(noise, t)
        weights = jnp.asarray(ADAMS, x.dtype)[memory.known - 1, : self.order]
        change = (noise_ratio(process, s) - noise_ratio(process, t)) * (weights @ (memory.values - noise))
        change = jnp.where(memory.known > 1, change, 0.0)  # 0 for a noise that stays as it is
        return process.alpha(s) * (clean + change) + process.sigma(s) * noise, memory
