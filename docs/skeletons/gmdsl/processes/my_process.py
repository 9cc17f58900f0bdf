r"""The process $x_t = e^{-t} x_0 + \sqrt{1 - e^{-2t}}\, \epsilon$.

Reference:
    Uhlenbeck and Ornstein, *On the theory of the Brownian motion*, 1930.
"""

import jax.numpy as jnp

from gmdsl.diffusion.process import Process, Scalar


class MyProcess(Process):
    """Drift, diffusion, transitions and the way back follow from `alpha` and `sigma`.

    Attributes:
        t_max: the last time.
    """

    t_max: float = 5.0

    def alpha(self, t: Scalar) -> Scalar:
        return jnp.exp(-jnp.asarray(t, float))

    def sigma(self, t: Scalar) -> Scalar:
        return jnp.sqrt(-jnp.expm1(-2.0 * jnp.asarray(t, float)))
