r"""Gaussians on the flat vector that can be drawn and weighed, $x = \mu + L u$ with $u \sim N(0, I)$.

An approximation q is drawn and compared with its target by $\log w = \log p(x) - \log q(x)$: the mean of w is the
normalising constant of p, and the spread of w tells how far q is from p.
"""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.inference.target import Target


class Drawable(eqx.Module):
    """A density on the flat vector that is a map of standard normal noise."""

    mean: eqx.AbstractVar[Array]

    @abc.abstractmethod
    def at(self, noise: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """The point that belongs to standard normal noise."""

    @abc.abstractmethod
    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """The normalised log-density."""


class Diagonal(Drawable):
    """Independent coordinates.

    >>> import jax.numpy as jnp
    >>> round(float(Diagonal(jnp.zeros(2), jnp.ones(2)).log_density(jnp.zeros(2))), 4)
    -1.8379
    """

    mean: Float[Array, " dim"]
    std: Float[Array, " dim"]

    def at(self, noise: Float[Array, " dim"]) -> Float[Array, " dim"]:
        return self.mean + self.std * noise

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return standard((x - self.mean) / self.std) - jnp.sum(jnp.log(self.std))


class Dense(Drawable):
    """A full covariance L L^T, L lower triangular with a positive diagonal."""

    mean: Float[Array, " dim"]
    factor: Float[Array, "dim dim"]

    def at(self, noise: Float[Array, " dim"]) -> Float[Array, " dim"]:
        return self.mean + self.factor @ noise

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        noise = jax.scipy.linalg.solve_triangular(self.factor, x - self.mean, lower=True)
        return standard(noise) - jnp.sum(jnp.log(jnp.diagonal(self.factor)))


def standard(noise: Float[Array, " dim"]) -> Float[Array, ""]:
    """The log-density of standard normal noise."""
    return -0.5 * jnp.sum(noise**2) - 0.5 * noise.size * math.log(2.0 * math.pi)


def weighed(q: Drawable, key: Array, target: Target) -> tuple[Float[Array, " dim"], dict[str, Any]]:
    """One draw of q with its log-density under the target, `lp`, and its `log_weight`."""
    x = q.at(jax.random.normal(key, q.mean.shape, q.mean.dtype))
    return x, weight(q.log_density(x), target.log_density(x))


def weight(log_q: Float[Array, ""], log_p: Float[Array, ""]) -> dict[str, Any]:
    """The stats of a draw; where the target has no density, or is NaN, the weight is zero."""
    log_p = jnp.where(jnp.isnan(log_p), -jnp.inf, log_p)
    return {"lp": log_p, "log_weight": log_p - log_q}
