r"""What the output of a network of $(x_t, t)$ means: the noise, the score, or a preconditioned residual.

The clean datum, the noise and the score determine each other, but they are not equally easy to learn:
a network that predicts the clean datum has nothing to add where there is no noise, one that predicts the
noise has nothing to add where there is nothing else. `Preconditioned` mixes them so that input and target
have variance one at every level.

Reference:
    Karras et al., *Elucidating the design space of diffusion-based generative models*, 2022,
    arXiv:2206.00364 (table 1); Ho et al., 2020, arXiv:2006.11239 (the noise).
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.errors import check_positive
from gmdsl.diffusion.process import Process, Scalar

type Network = Callable[[Array, Scalar], Array]


class Prediction(eqx.Module):
    """How a denoiser is read off a network, and how its squared error is weighed."""

    @abc.abstractmethod
    def denoise(self, process: Process, network: Network, x: Array, t: Scalar) -> Array:
        """The expected clean datum."""

    @abc.abstractmethod
    def weight(self, process: Process, t: Scalar) -> Scalar:
        """Weight of the squared error of the denoiser: that of the network's own output is then one."""


class Preconditioned(Prediction):
    r"""$D = c_{skip} x + c_{out} F(c_{in} x, \text{level})$ with input and target of variance one.

    The network's second argument is the level of noise, from 0 at `process.t_min` to 1 at `process.t_max`.

    Attributes:
        scale: standard deviation of one coordinate of the data, in their units.
    """

    scale: float = 1.0

    def __check_init__(self) -> None:
        check_positive(self, "scale")

    def denoise(self, process: Process, network: Network, x: Array, t: Scalar) -> Array:
        signal, noise = process.alpha(t) * self.scale, process.sigma(t)
        total = jnp.sqrt(signal**2 + noise**2)
        residual = network(x / total, process.level(t))
        return (self.scale * signal / total**2) * x + (noise * self.scale / total) * residual

    def weight(self, process: Process, t: Scalar) -> Scalar:
        signal, noise = process.alpha(t) * self.scale, process.sigma(t)
        return (signal**2 + noise**2) / (noise * self.scale) ** 2


class PredictNoise(Prediction):
    """The network's output is the noise in units of its standard deviation; it is called with x and t as they are."""

    def denoise(self, process: Process, network: Network, x: Array, t: Scalar) -> Array:
        t = jnp.minimum(t, process.t_signal)
        return (x - process.sigma(t) * network(x, t)) / process.alpha(t)

    def weight(self, process: Process, t: Scalar) -> Scalar:
        t = jnp.minimum(t, process.t_signal)
        return (process.alpha(t) / process.sigma(t)) ** 2


class PredictScore(Prediction):
    """The network's output is the score; it is called with x and t as they are."""

    def denoise(self, process: Process, network: Network, x: Array, t: Scalar) -> Array:
        t = jnp.minimum(t, process.t_signal)
        return process.denoised(x, network(x, t), t)

    def weight(self, process: Process, t: Scalar) -> Scalar:
        t = jnp.minimum(t, process.t_signal)
        return (process.alpha(t) / process.sigma(t)) ** 2
