r"""The variance-preserving process, $\alpha^2 + \sigma^2 = 1$ with a linear rate of noise.

$dx = -\tfrac12 \beta(t) x\, dt + \sqrt{\beta(t)}\, dB$ with $\beta$ linear in time; data of variance one keep
it, data of any law become standard normal.

Reference:
    Ho, Jain, Abbeel, *Denoising diffusion probabilistic models*, 2020, arXiv:2006.11239;
    Song et al., *Score-based generative modeling through SDEs*, 2021, arXiv:2011.13456.
"""

from typing import ClassVar

import jax.numpy as jnp

from gmdsl.core.errors import check_positive
from gmdsl.diffusion.process import Process, Scalar


class VP(Process):
    r"""$\alpha(t) = \exp(-\tfrac12 \int_0^t \beta)$, $\sigma^2 = 1 - \alpha^2$. Scale data to a variance near one.

    Attributes:
        beta_min: rate of noise at t = 0, per unit of time.
        beta_max: rate of noise at t = 1.

    >>> process = VP()
    >>> round(float(process.alpha(0.5) ** 2 + process.sigma(0.5) ** 2), 6)
    1.0
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    t_max: float = 1.0

    stationary: ClassVar[float | None] = 1.0

    def __check_init__(self) -> None:
        check_positive(self, "beta_min", "beta_max", "t_max")

    def alpha(self, t: Scalar) -> Scalar:
        return jnp.exp(-0.5 * self._total(t))

    def sigma(self, t: Scalar) -> Scalar:
        return jnp.sqrt(-jnp.expm1(-self._total(t)))

    def _total(self, t: Scalar) -> Scalar:
        """The integral of beta from 0 to t."""
        t = jnp.asarray(t, float)
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2
