"""A network: what it computes, and what it is for."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class MyNetwork(eqx.Module):
    """A quadratic energy of a vector, $x^T W^T W x$.

    Attributes:
        weights: W.
    """

    weights: Float[Array, "rank size"]

    def __init__(self, size: int, rank: int, *, key: Array):
        self.weights = jax.random.normal(key, (rank, size))

    def __call__(self, x: Float[Array, " size"]) -> Float[Array, ""]:
        return jnp.sum((self.weights @ x) ** 2)
