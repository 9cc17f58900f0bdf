r"""The variance-exploding process, $x_t = x_0 + \sigma(t)\,\epsilon$ with a geometric $\sigma$.

Reference:
    Song et al., *Score-based generative modeling through SDEs*, 2021, arXiv:2011.13456.
"""

import jax.numpy as jnp

from gmdsl.core.errors import SpecError, check_positive
from gmdsl.diffusion.process import Process, Scalar


class VE(Process):
    r"""Noise of scale $\sigma(t) = \sigma_{min} (\sigma_{max}/\sigma_{min})^t$ is added; the signal keeps its size.

    Attributes:
        sigma_min: standard deviation at t = 0, in the units of the data; below what matters in them.
        sigma_max: standard deviation at t = 1; take it near the largest distance between two data points.

    >>> round(float(VE(0.1, 10.0).sigma(0.5)), 6)
    1.0
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    t_max: float = 1.0

    def __check_init__(self) -> None:
        check_positive(self, "sigma_min", "sigma_max", "t_max")
        if not self.sigma_min < self.sigma_max:
            raise SpecError(
                f"VE(sigma_min={self.sigma_min}, sigma_max={self.sigma_max}): the noise must grow. Swap them."
            )

    def alpha(self, t: Scalar) -> Scalar:
        return jnp.ones_like(jnp.asarray(t, float))

    def sigma(self, t: Scalar) -> Scalar:
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** (jnp.asarray(t, float) / self.t_max)
