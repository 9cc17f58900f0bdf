r"""The variance-preserving process with $\alpha(t) = \cos(\pi t / 2)$: noise enters more evenly than in `VP`.

Reference:
    Nichol, Dhariwal, *Improved denoising diffusion probabilistic models*, 2021, arXiv:2102.09672.
"""

from typing import ClassVar

import jax.numpy as jnp

from gmdsl.core.errors import SpecError
from gmdsl.diffusion.process import Process, Scalar


class Cosine(Process):
    r"""$\alpha = \cos(\pi t / 2)$, $\sigma = \sin(\pi t / 2)$. Scale data to a variance near one.

    Attributes:
        t_max: the last time, below 1, where no signal would be left and the rate of noise would be infinite.

    >>> round(float(Cosine().alpha(0.5)), 4)
    0.7071
    """

    t_max: float = 0.999

    stationary: ClassVar[float | None] = 1.0

    def __check_init__(self) -> None:
        if not 0.0 < self.t_max < 1.0:
            raise SpecError(f"Cosine(t_max={self.t_max}): a time between 0 and 1 is needed. Try 0.999.")

    def alpha(self, t: Scalar) -> Scalar:
        return jnp.cos(0.5 * jnp.pi * jnp.asarray(t, float))

    def sigma(self, t: Scalar) -> Scalar:
        return jnp.sin(0.5 * jnp.pi * jnp.asarray(t, float))
