r"""Laws that are drawn from exactly, asymmetric in every coordinate that matters.

A symmetric target hides errors of sign, a Gaussian one those of any linear map. So: a skewed law with constrained
variables (their Jacobians enter), a banana beside a unit Gaussian (a coordinate of known frequency, which a
trajectory of fixed length can resonate with), and a mixture of unequal weights and scales. For samplers of discrete
variables: dependent ones of unlike numbers of values.
"""

import jax.numpy as jnp
import numpyro.distributions as dist

from gmdsl.models.declare.joint import joint
from gmdsl.models.declare.mixture import mixture
from gmdsl.models.model import Model


def skewed() -> Model:
    """A positive variable, one between 0 and 1, and a child of the first.

    >>> skewed().free
    ('g', 'b', 'y')
    """
    return joint(g=dist.Gamma(3.0, 1.0), b=dist.Beta(2.0, 5.0), y=lambda g: dist.Normal(0.5 * g, 1.0))


def banana() -> Model:
    """A bent ridge, and a Gaussian coordinate of unit scale that nothing else touches."""
    return joint(u=dist.Normal(0.0, 1.0), z=dist.Normal(0.0, 1.0), w=lambda z: dist.Normal(0.5 * z**2 + z, 0.7))


def touching() -> Model:
    """Two Gaussians in the plane, of weights 0.7 and 0.3 and scales 1 and 0.6, whose basins touch."""
    wide = joint(a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 1.0))
    narrow = joint(a=dist.Normal(2.5, 0.6), b=dist.Normal(1.0, 0.6))
    return mixture([0.7, 0.3], wide, narrow)


def counts() -> Model:
    """Three discrete variables of unlike kinds, each a child of those before."""
    return joint(
        b=dist.Bernoulli(0.3),
        k=lambda b: dist.Categorical(jnp.where(b == 1, jnp.array([0.1, 0.2, 0.7]), jnp.array([0.5, 0.4, 0.1]))),
        n=lambda b, k: dist.Binomial(4, 0.2 + 0.25 * b + 0.15 * k),
    )


def labels() -> Model:
    """Two labels that depend on each other, and a mark that both lower."""
    return joint(
        i=dist.Categorical(jnp.array([0.6, 0.3, 0.1])),
        j=lambda i: dist.Bernoulli(0.15 + 0.3 * i),
        mark=lambda i, j: dist.Bernoulli(0.9 - 0.2 * i - 0.3 * j),
    )


TARGETS = (skewed, banana, touching)
DISCRETE = (counts, labels)
