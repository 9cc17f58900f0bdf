"""A multilayer perceptron with smooth activations: the usual energy of a vector."""

from typing import Any, Literal

import equinox as eqx
import jax
from jaxtyping import Array


class MLP(eqx.Module):
    """A scalar (or vector) function of a vector; swish activations, so that its score is smooth.

    Attributes:
        layers: the network.
    """

    layers: eqx.nn.MLP

    def __init__(
        self, size: int, *, width: int = 128, depth: int = 2, out: int | Literal["scalar"] = "scalar", key: Array
    ):
        """Makes a network with random weights.

        Args:
            size: length of the input.
            width: units per hidden layer.
            depth: hidden layers.
            out: length of the output, or "scalar".
            key: a JAX random key.
        """
        self.layers = eqx.nn.MLP(size, out, width, depth, activation=jax.nn.swish, key=key)

    def __call__(self, x: Any) -> Any:
        return self.layers(x)
