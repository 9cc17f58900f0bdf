r"""Brownian noise, $x_t = x_0 + \sigma \sqrt t\, \epsilon$: the forward diffusion of the tutorial.

$dx = \sigma\, dB$: the signal keeps its size, the variance of the noise grows linearly in time.
"""

import jax.numpy as jnp

from gmdsl.core.errors import check_positive
from gmdsl.diffusion.process import Process, Scalar


class Brownian(Process):
    r"""Variance $\sigma^2 t$ is added.

    Attributes:
        rate: $\sigma$, standard deviation of the noise at t = 1, in the units of the data; given as `sigma`.
        t_max: the last time; take it so that $\sigma \sqrt{t_{max}}$ is several times the size of the data.

    >>> float(Brownian(2.0, t_max=9.0).sigma(9.0))
    6.0
    """

    rate: float
    t_max: float

    def __init__(self, sigma: float = 1.0, t_max: float = 1.0):
        self.rate, self.t_max = sigma, t_max
        check_positive(self, "rate", "t_max", renamed={"rate": "sigma"})

    def alpha(self, t: Scalar) -> Scalar:
        return jnp.ones_like(jnp.asarray(t, float))

    def sigma(self, t: Scalar) -> Scalar:
        return self.rate * jnp.sqrt(jnp.asarray(t, float))
