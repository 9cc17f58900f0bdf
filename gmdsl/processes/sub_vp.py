r"""The sub-variance-preserving process: the signal of `VP`, the noise $\sigma = 1 - \alpha^2$.

$dx = -\tfrac12 \beta(t) x\, dt + \sqrt{\beta(t)\,(1 - e^{-2 \int_0^t \beta})}\, dB$. Noise begins with rate zero and
is never more than that of `VP`, of which the name speaks; in the source it gave the better likelihoods.

Reference:
    Song et al., *Score-based generative modeling through SDEs*, 2021, arXiv:2011.13456 (equation 13 and appendix B).
"""

from typing import ClassVar

import jax.numpy as jnp

from gmdsl.core.errors import check_positive
from gmdsl.diffusion.process import Process, Scalar


class SubVP(Process):
    r"""$\alpha(t) = \exp(-\tfrac12 \int_0^t \beta)$, $\sigma = 1 - \alpha^2$. Scale data to a variance near one.

    Attributes:
        beta_min: rate at which the signal is lost at t = 0, per unit of time.
        beta_max: that rate at t = 1; it is linear in between.

    >>> process = SubVP()
    >>> round(float(process.alpha(0.5) ** 2 + process.sigma(0.5)), 6)
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
        return -jnp.expm1(-self._total(t))

    def _total(self, t: Scalar) -> Scalar:
        """The integral of beta from 0 to t."""
        t = jnp.asarray(t, float)
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2
