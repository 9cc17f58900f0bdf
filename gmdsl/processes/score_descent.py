r"""Data that descend the score, $dx = -\tfrac{\delta^2}{2} \nabla \log p_t\, dt$: the forward form without noise.

A point moves away from where many are, and the density spreads as under Brownian noise of rate $\delta$. By the
continuity equation $\partial_t p = \tfrac{\delta^2}{2} \nabla \cdot (p\, \nabla \log p) = \tfrac{\delta^2}{2} \Delta
p$, the heat equation, which noise solves too: every $p_t$ is that of $x_t = x_0 + \delta \sqrt t\, \epsilon$. In the
tutorial's words, with a test
function h, squeezing and spreading have the same sign:

$$-\tfrac{\delta^2}{2} E[\nabla h \cdot \nabla \log p_t] = +\tfrac{\delta^2}{2} E[\Delta h].$$

The tutorial prints one step with both, $+\delta e \sqrt{dt}$ and $-\tfrac{\delta^2 dt}{2} \nabla \log p_t$: together
they diffuse twice as fast, and its later $x_t = x_0 + N(0, \sigma^2 t)$ is then wrong. They are two forms of one
process.

Reference:
    Song et al., *Score-based generative modeling through SDEs*, 2021, arXiv:2011.13456 (appendix D); Maoutsa, Reich,
    Opper, 2020, arXiv:2006.00702.
"""

import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.errors import check_positive
from gmdsl.diffusion.process import Process, Scalar


class ScoreDescent(Process):
    r"""The laws of `Brownian`, reached without noise: `noised.carry(x, 0, t)` is where a datum goes.

    What a process derives from $\alpha$ and $\sigma$ (drift, diffusion, transition, bridge) is the form with noise,
    which has the same laws; ways back, scores and likelihoods read the laws alone.

    Attributes:
        rate: $\delta$, standard deviation of what is spread until t = 1, in the units of the data; given as `delta`.
        t_max: the last time; take it so that $\delta \sqrt{t_{max}}$ is several times the size of the data.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> noised = gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), ScoreDescent(2.0))
    >>> round(float(noised.carry(1.0, 0.0, 0.75)), 3)  # the standard deviation grows from 1 to 2
    2.0
    """

    rate: float
    t_max: float

    def __init__(self, delta: float = 1.0, t_max: float = 1.0):
        self.rate, self.t_max = delta, t_max
        check_positive(self, "rate", "t_max", renamed={"rate": "delta"})

    def alpha(self, t: Scalar) -> Scalar:
        return jnp.ones_like(jnp.asarray(t, float))

    def sigma(self, t: Scalar) -> Scalar:
        return self.rate * jnp.sqrt(jnp.asarray(t, float))

    def step(self, x: Array, score: Array, delta: Scalar) -> Array:
        """A point after a short time delta, by Euler's method."""
        return x - 0.5 * self.rate**2 * delta * score
