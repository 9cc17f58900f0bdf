r"""Exponential Adams-Bashforth in time (DEIS, tAB): the expected noise is extrapolated by a polynomial in t.

With $\rho = \sigma / \alpha$ the flow is $d(x / \alpha) = \hat\epsilon\, d\rho$, where $\hat\epsilon$ is the expected
noise. So $x_s / \alpha_s = x_t / \alpha_t + \sum_j \hat\epsilon_j \int_t^s \rho'(\tau)\, \ell_j(\tau)\, d\tau$ with
the Lagrange polynomials of the last steps. The integral is taken in $v = \sqrt{\tau - s}$, so that a $\rho$ like
$\sqrt t$ near the data makes no harm. It goes to t = 0 without a division, and its order is that of the polynomial
plus one.

Reference:
    Zhang, Chen, *Fast sampling of diffusion models with exponential integrator*, 2022, arXiv:2204.13902 (tAB-DEIS).
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.errors import check_one_of
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.multistep import Past, adams_weights
from gmdsl.diffusion.process import Process, Scalar
from gmdsl.diffusion.solver import Solver
from gmdsl.diffusion.time_grid import KarrasGrid, TimeGrid, noise_ratio


class DEIS(Solver):
    """One evaluation of the denoiser per step.

    Attributes:
        order: from 1 (DDIM) to 4.
    """

    order: int = eqx.field(static=True, default=3)

    prefers: ClassVar[TimeGrid] = KarrasGrid()

    def __check_init__(self) -> None:
        check_one_of(self, "order", 1, 2, 3, 4)

    def init(self, family: FlatFamily, x: Array) -> Past:
        return Past.empty(self.order, x)

    def step(self, family: FlatFamily, x: Array, t: Scalar, s: Scalar, memory: Any) -> tuple[Array, Any]:
        process, clean = family.process, family.denoise(x, t)
        noise = process.noise_of(x, clean, t)
        memory = memory.remember(noise, t)
        change = _weights(process, memory, t, s) @ (memory.values - noise)  # 0 for a noise that stays as it is
        change = jnp.where(memory.known > 1, change, 0.0)
        return process.alpha(s) * (clean + change) + process.sigma(s) * noise, memory


def _weights(process: Process, seen: Past, t: Scalar, s: Scalar) -> Array:
    """The integrals of the polynomials, in the root of the time that is left."""
    root = jnp.sqrt(t - s)
    nodes = seen._replace(nodes=seen.nodes - s)

    def density(v: Array) -> Array:
        slope = jax.vmap(lambda v: jax.jvp(lambda v: noise_ratio(process, s + v**2), (v,), (jnp.ones_like(v),))[1])
        return slope(v)

    return adams_weights(density, nodes, root, jnp.zeros_like(root), lambda v: v**2)
