r"""What the output of a network of $(x_t, t)$ means: the noise, the score, the velocity, a preconditioned residual ...

The clean datum, the noise and the score determine each other, but they are not equally easy to learn:
a network that predicts the clean datum has nothing to add where there is no noise, one that predicts the
noise has nothing to add where there is nothing else. `Preconditioned` mixes them so that input and target
have variance one at every level. `PredictEnergy` does so with the gradient of a scalar: a score that is one.

Reference:
    Karras et al., *Elucidating the design space of diffusion-based generative models*, 2022,
    arXiv:2206.00364 (table 1); Ho et al., 2020, arXiv:2006.11239 (the noise); Salimans, Ho, *Progressive
    distillation for fast sampling of diffusion models*, 2022, arXiv:2202.00512 (the velocity); *Should EBMs model the
    energy or the score?*, 2021 (the energy).
"""

import abc
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.errors import check_positive
from gmdsl.diffusion.process import Process, Scalar

type Network = Callable[[Array, Scalar], Array]


class Prediction(eqx.Module):
    """How a denoiser is read off a network, and how its squared error is weighed.

    Class attributes:
        scalar: whether the network returns one number for a point; else it returns the shape of the point.
    """

    scalar: ClassVar[bool] = False

    @abc.abstractmethod
    def denoise(self, process: Process, network: Network, x: Array, t: Scalar) -> Array:
        """The expected clean datum."""

    @abc.abstractmethod
    def weight(self, process: Process, t: Scalar) -> Scalar:
        """Weight of the squared error of the denoiser: that of the network's own output is then one."""


class Preconditioned(Prediction):
    r"""$D = c_{skip} x + c_{out} F(c_{in} x, \text{level})$ with input and target of variance one.

    The network's second argument is the level of noise, from 0 at `process.t_min` to 1 at `process.t_signal`.

    Attributes:
        scale: standard deviation of one coordinate of the data, in their units.
    """

    scale: float = 1.0

    def __check_init__(self) -> None:
        check_positive(self, "scale")

    def denoise(self, process: Process, network: Network, x: Array, t: Scalar) -> Array:
        skip, total, out = _mix(process, self.scale, t)
        return skip * x + out * network(x / total, process.level(t))

    def weight(self, process: Process, t: Scalar) -> Scalar:
        return _mix(process, self.scale, t)[2] ** -2


class PredictEnergy(Prediction):
    r"""The network's output is a scalar whose negative gradient is the residual of `Preconditioned`.

    So the score is the negative gradient of an energy at every time, as that of a density is:
    $E(x, t) = \frac{1 - \alpha c_{skip}}{2 \sigma^2} |x|^2 + \frac{\alpha c_{out}}{\sigma^2 c_{in}} F(c_{in} x,
    \text{level})$, `energy`.

    Attributes:
        scale: standard deviation of one coordinate of the data, in their units.
    """

    scale: float = 1.0

    scalar: ClassVar[bool] = True

    def __check_init__(self) -> None:
        check_positive(self, "scale")

    def denoise(self, process: Process, network: Network, x: Array, t: Scalar) -> Array:
        skip, total, out = _mix(process, self.scale, t)
        level = process.level(t)
        return skip * x - out * jax.grad(lambda x: network(x, level))(x / total)

    def energy(self, process: Process, network: Network, x: Array, t: Scalar) -> Scalar:
        """Minus the log-density of x_t, but a constant of each time."""
        skip, total, out = _mix(process, self.scale, t)
        alpha, variance = process.alpha(t), process.sigma(t) ** 2
        of_network = alpha * out * total * network(x / total, process.level(t))
        return (0.5 * (1.0 - alpha * skip) * jnp.sum(x**2) + of_network) / variance

    def weight(self, process: Process, t: Scalar) -> Scalar:
        return _mix(process, self.scale, t)[2] ** -2


class PredictClean(Prediction):
    """The network's output is the expected clean datum; it is called with x and t as they are."""

    def denoise(self, process: Process, network: Network, x: Array, t: Scalar) -> Array:
        return network(x, t)

    def weight(self, process: Process, t: Scalar) -> Scalar:
        return jnp.ones_like(process.alpha(t))


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


class PredictVelocity(Prediction):
    r"""The network's output is the velocity of the flow, $E[\dot\alpha x_0 + \dot\sigma \epsilon \mid x_t]$.

    It is called with x and t as they are; for `gm.Rectified` it is the expected difference of noise and datum.
    """

    def denoise(self, process: Process, network: Network, x: Array, t: Scalar) -> Array:
        signal, noise = _rates(process, t)
        return (process.sigma(t) ** 2 * network(x, t) - noise * x) / signal

    def weight(self, process: Process, t: Scalar) -> Scalar:
        return (_rates(process, t)[0] / process.sigma(t) ** 2) ** 2


def _mix(process: Process, scale: float, t: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """What x counts in the clean datum, what it is divided by for the network, and what the network's output counts."""
    signal, noise = process.alpha(t) * scale, process.sigma(t)
    total = jnp.sqrt(signal**2 + noise**2)
    return scale * signal / total**2, total, noise * scale / total


def _rates(process: Process, t: Scalar) -> tuple[Scalar, Scalar]:
    r"""$\dot\alpha \sigma^2 - \alpha \sigma \dot\sigma$ and $\sigma \dot\sigma$, finite at every time."""
    still = jnp.zeros(())
    noise = process.velocity_of(still, -jnp.ones(()), t)
    return process.velocity_of(process.sigma(t) ** 2, process.alpha(t), t), noise
