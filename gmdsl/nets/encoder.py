r"""Encoders: from a datum x to a distribution over its latent z, $q(z \mid x)$, the guide of a VAE.

$$
q(z \mid x) = \mathcal{N}(\mu(x), \mathrm{diag}\,\sigma(x)^2) \qquad \text{or} \qquad \mathcal{N}(\mu(x), L(x) L(x)^T)
$$

One network gives the mean and the free numbers of the scale. Scales, and the diagonal of the Cholesky
factor L, pass through softplus; the entries of L below the diagonal are free.

Reference:
    Kingma, Welling, *Auto-encoding variational Bayes*, 2014, arXiv:1312.6114, section 3 and appendix C.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.nets.checks import as_shape, check_layers, flat
from gmdsl.spaces.space import Shape


class GaussianEncoder(eqx.Module):
    """x to a Gaussian over z, one event: independent coordinates, or a full covariance.

    Attributes:
        network: from the flat datum to the mean and the free numbers of the scale.
        size: shape of x.
        latent: shape of z.
        full: whether the covariance is full.

    >>> import jax, jax.numpy as jnp, gmdsl as gm
    >>> encoder = gm.nets.GaussianEncoder(5, 2, key=jax.random.key(0))
    >>> encoder(jnp.zeros(5)).event_shape
    (2,)
    """

    network: eqx.nn.MLP
    size: Shape = eqx.field(static=True)
    latent: Shape = eqx.field(static=True)
    full: bool = eqx.field(static=True)

    def __init__(
        self,
        size: int | Shape,
        latent: int | Shape,
        *,
        width: int = 128,
        depth: int = 2,
        full: bool = False,
        key: Array,
    ):
        """Makes an encoder with random weights.

        Args:
            size: shape of x; a number n is the shape (n,).
            latent: shape of z; a number n is the shape (n,).
            width: units per hidden layer.
            depth: hidden layers.
            full: True for a full covariance; z is then a vector.
            key: a JAX random key.

        Raises:
            SpecError: a size, a width, a depth or a key that cannot be one; a full covariance of a z that is
                not a vector.
        """
        check_layers("GaussianEncoder", width, depth, key)
        self.size = as_shape("GaussianEncoder", "size", size)
        self.latent = as_shape("GaussianEncoder", "latent", latent)
        if full and len(self.latent) != 1:
            raise SpecError(
                f"GaussianEncoder(full=True): latent was declared {self.latent}, but a full covariance is of a vector."
                f" Declare latent={math.prod(self.latent)}, or leave full out."
            )
        self.full = bool(full)
        n = math.prod(self.latent)
        count = n + (n * (n + 1) // 2 if full else n)
        self.network = eqx.nn.MLP(math.prod(self.size), count, width, depth, activation=jax.nn.swish, key=key)

    def __call__(self, x: Any) -> Any:
        """The NumPyro distribution of z given one x."""
        import numpyro.distributions as dist

        mean, free = jnp.split(self.network(flat("GaussianEncoder", "x", x, self.size)), [math.prod(self.latent)])
        if self.full:
            return dist.MultivariateNormal(mean, scale_tril=_cholesky(free, self.latent[0]))
        normal = dist.Normal(mean.reshape(self.latent), jax.nn.softplus(free).reshape(self.latent))
        return normal.to_event(len(self.latent))


def _cholesky(free: Array, n: int) -> Array:
    """A lower triangular matrix with a positive diagonal: n free numbers for the diagonal, the rest row by row."""
    diagonal, below = free[:n], free[n:]
    return jnp.diag(jax.nn.softplus(diagonal)).at[np.tril_indices(n, -1)].set(below)
