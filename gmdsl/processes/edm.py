r"""The process of EDM, $x_t = x_0 + t\,\epsilon$: time is the scale of the noise.

Reference:
    Karras et al., *Elucidating the design space of diffusion-based generative models*, 2022, arXiv:2206.00364.
"""

import jax.numpy as jnp

from gmdsl.core.errors import check_positive
from gmdsl.diffusion.process import Process, Scalar


class EDM(Process):
    r"""Noise of scale $\sigma(t) = t$ is added. Solvers want `power=7`: small steps where the noise is small.

    Attributes:
        t_max: the largest scale of the noise, in the units of the data.

    >>> float(EDM(80.0).sigma(3.0))
    3.0
    """

    t_max: float = 80.0

    def __check_init__(self) -> None:
        check_positive(self, "t_max")

    def alpha(self, t: Scalar) -> Scalar:
        return jnp.ones_like(jnp.asarray(t, float))

    def sigma(self, t: Scalar) -> Scalar:
        return jnp.asarray(t, float)
