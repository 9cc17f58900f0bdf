"""Targets whose approximations are known in closed form."""

import numpy as np
import numpyro.distributions as dist

import gmdsl as gm

MEAN = np.array([3.0, -20.0, 0.5])
PRECISION = np.array([[2.0, 0.9, 0.0], [0.9, 0.5, 0.01], [0.0, 0.01, 30.0]])
LOG_Z = 1.5 * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(PRECISION)[1]

A, B = 3.0, 0.5  # of the Gamma density


def gaussian():
    """Correlated (-0.9), of unlike scales, unnormalised."""

    def energy(x, m, precision):
        return 0.5 * (x - m) @ precision @ (x - m)

    return gm.energy(energy, x=gm.Real(3), m=gm.data(MEAN), precision=gm.data(PRECISION))


def gamma():
    """Gamma(3, rate 0.5), normalised; on the real line it is exp(a u - b e^u)."""
    return gm.joint(s=dist.Gamma(A, B))


def two_modes(drop=1.0):
    """Two separate normal modes, at 4 and at -4, the second lower."""
    import jax.numpy as jnp

    def energy(x):
        return -jnp.logaddexp(-0.5 * jnp.sum((x - 4.0) ** 2), -0.5 * jnp.sum((x + 4.0) ** 2) - drop)

    return gm.energy(energy, x=gm.Real(2))


def funnel():
    """Neal's funnel in ten dimensions."""
    import jax.numpy as jnp

    return gm.joint(v=dist.Normal(0.0, 3.0), x=lambda v: dist.Normal(0.0, jnp.exp(v / 2)).expand([9]))


def drawn(model, generator, **settings):
    """The tree of a generator, silently."""
    return gm.sample(model, generator, progress=False, **settings)
