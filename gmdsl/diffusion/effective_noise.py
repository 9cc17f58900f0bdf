r"""The probability flow with the part that a Gaussian explains solved exactly.

With $y = x / \alpha$ and $\rho = \sigma / \alpha$ the flow of any process is $dy / d\log\rho = y - D$, where D is the
denoiser $E[x_0 \mid x_t]$. Let the data be centres blurred by $N(0, w^2 I)$. Their flow is that of the centres alone
under the larger noise $\tilde\rho = \sqrt{\rho^2 + w^2}$, and with $\tau = -\log \tilde\rho$ it reads

$$\frac{dy}{d\tau} = M - y, \qquad M = D + \frac{w^2}{\rho^2} (D - y),$$

where M is the expected *centre*. For one Gaussian of width w it is constant, and a step of any length is exact; near
the data it is constant, too, where the clean datum D is not. It ends at $\tau = -\log w$, a finite time. Without a
width, w = 0, it is the flow in log-SNR with the denoiser, $M = D$. Any w is right with small steps; what it changes
is how little is left to the solver.

Reference:
    Lu et al., *DPM-Solver++*, 2022, arXiv:2211.01095 (w = 0); Zheng et al., *DPM-Solver-v3*, 2023, arXiv:2310.13268
    (linear parts chosen so that little is left).
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.process import Process, Scalar
from gmdsl.diffusion.time_grid import noise_ratio


def effective_time(process: Process, t: Scalar, width: Any) -> Scalar:
    r"""$\tau = -\tfrac12 \log(\rho^2 + w^2)$; infinite where no noise is left and no width is known."""
    return -0.5 * jnp.log(noise_ratio(process, t) ** 2 + width**2)


def effective_sigma(process: Process, t: Scalar, width: Any) -> Scalar:
    r"""$\alpha \tilde\rho = \sqrt{\sigma^2 + w^2 \alpha^2}$: points divided by it stay, but for the part of M."""
    return jnp.sqrt(process.sigma(t) ** 2 + (width * process.alpha(t)) ** 2)


def expected_centre(family: FlatFamily, x: Float[Array, " dim"], t: Scalar, width: Any) -> Float[Array, " dim"]:
    """M, at the cost of one evaluation of the denoiser."""
    clean, alpha = family.denoise(x, t), family.process.alpha(t)
    return clean + alpha * (width / family.process.sigma(t)) ** 2 * (alpha * clean - x)
