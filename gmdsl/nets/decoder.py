r"""Decoders: from a latent z to the distribution of a datum x, $p(x \mid z)$.

$$
x \mid z \sim \mathcal{N}(\mu(z), \sigma^2 I) \qquad \text{or} \qquad
x_i \mid z \sim \mathrm{Bernoulli}(\mathrm{sigmoid}(\ell_i(z)))
$$

with a network for the mean or for the logits. The scale $\sigma$ of the first is one number for all
coordinates. It weighs reconstruction against the prior of z, so it is learned unless it is known:
held fixed at 1, a decoder of small data explains nothing by z.

References:
    Kingma, Welling, *Auto-encoding variational Bayes*, 2014, arXiv:1312.6114, appendix C.
    Rybkin, Daniilidis, Levine, *Simple and effective VAE training with calibrated decoders*, 2021, arXiv:2006.13202.
"""

import math
import numbers
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.nets.checks import as_shape, check_layers, flat
from gmdsl.spaces.space import Shape


class GaussianDecoder(eqx.Module):
    """z to Normal(mean(z), scale), one event of the shape of the datum.

    Attributes:
        mean: the network from the flat latent to the flat mean.
        log_scale: logarithm of the learned scale, shape (); None when the scale is fixed.
        fixed: the fixed scale; None when it is learned.
        latent: shape of z.
        size: shape of x.

    >>> import jax, numpyro.distributions as dist, gmdsl as gm
    >>> decoder = gm.nets.GaussianDecoder(2, 5, key=jax.random.key(0))
    >>> vae = gm.joint(z=dist.Normal(0, 1).expand([2]).to_event(1), x=gm.given("z", decoder))
    >>> vae.sample(jax.random.key(1), 3)["x"].shape
    (3, 5)
    """

    mean: eqx.nn.MLP
    log_scale: Float[Array, ""] | None
    fixed: float | None = eqx.field(static=True)
    latent: Shape = eqx.field(static=True)
    size: Shape = eqx.field(static=True)

    def __init__(
        self,
        latent: int | Shape,
        size: int | Shape,
        *,
        width: int = 128,
        depth: int = 2,
        scale: float | None = None,
        key: Array,
    ):
        """Makes a decoder with random weights.

        Args:
            latent: shape of z; a number n is the shape (n,).
            size: shape of x; a number n is the shape (n,).
            width: units per hidden layer.
            depth: hidden layers.
            scale: standard deviation of x given z, in the units of x; None for one that is learned, from 1 on.
            key: a JAX random key.

        Raises:
            SpecError: a size, a width, a depth, a scale or a key that cannot be one.
        """
        if scale is not None and not (isinstance(scale, numbers.Real) and 0.0 < scale < math.inf):
            raise SpecError(
                f"GaussianDecoder(scale={scale!r}): a standard deviation is one number above 0."
                " Leave it out, scale=None, for one that is learned."
            )
        self.latent, self.size = _shapes("GaussianDecoder", latent, size)
        self.mean = _network("GaussianDecoder", self.latent, self.size, width, depth, key)
        self.log_scale = jnp.zeros(()) if scale is None else None
        self.fixed = None if scale is None else float(scale)

    @property
    def scale(self) -> Float[Array, ""]:
        """The standard deviation of x given z."""
        return jnp.asarray(self.fixed) if self.log_scale is None else jnp.exp(self.log_scale)

    def __call__(self, z: Any) -> Any:
        """The NumPyro distribution of x given one z."""
        import numpyro.distributions as dist

        mean = self.mean(flat("GaussianDecoder", "z", z, self.latent)).reshape(self.size)
        return dist.Normal(mean, self.scale).to_event(len(self.size))


class BernoulliDecoder(eqx.Module):
    """z to independent bits with logits(z), one event of the shape of the datum.

    Attributes:
        logits: the network from the flat latent to the flat logits.
        latent: shape of z.
        size: shape of x.

    >>> import jax, jax.numpy as jnp, gmdsl as gm
    >>> decoder = gm.nets.BernoulliDecoder(2, (4, 4), key=jax.random.key(0))
    >>> decoder(jnp.zeros(2)).event_shape
    (4, 4)
    """

    logits: eqx.nn.MLP
    latent: Shape = eqx.field(static=True)
    size: Shape = eqx.field(static=True)

    def __init__(self, latent: int | Shape, size: int | Shape, *, width: int = 128, depth: int = 2, key: Array):
        """Makes a decoder with random weights.

        Args:
            latent: shape of z; a number n is the shape (n,).
            size: shape of x; a number n is the shape (n,).
            width: units per hidden layer.
            depth: hidden layers.
            key: a JAX random key.

        Raises:
            SpecError: a size, a width, a depth or a key that cannot be one.
        """
        self.latent, self.size = _shapes("BernoulliDecoder", latent, size)
        self.logits = _network("BernoulliDecoder", self.latent, self.size, width, depth, key)

    def __call__(self, z: Any) -> Any:
        """The NumPyro distribution of x given one z."""
        import numpyro.distributions as dist

        logits = self.logits(flat("BernoulliDecoder", "z", z, self.latent)).reshape(self.size)
        return dist.Bernoulli(logits=logits).to_event(len(self.size))


def _shapes(operation: str, latent: Any, size: Any) -> tuple[Shape, Shape]:
    return as_shape(operation, "latent", latent), as_shape(operation, "size", size)


def _network(operation: str, latent: Shape, size: Shape, width: int, depth: int, key: Array) -> eqx.nn.MLP:
    check_layers(operation, width, depth, key)
    return eqx.nn.MLP(math.prod(latent), math.prod(size), width, depth, activation=jax.nn.swish, key=key)
