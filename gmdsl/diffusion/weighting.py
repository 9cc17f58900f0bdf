r"""How levels of noise are chosen and weighed in denoising score matching.

The loss is $E_t\, w(t)\, E \|D(x_t, t) - x_0\|^2$. Any w has the same minimiser; a network that cannot have all
levels right is best where w is large. A weighting says which times are drawn and what w is, in terms of the denoiser,
whatever the network predicts. With $\text{SNR} = \alpha^2 / \sigma^2$ the error of the noise is SNR times that of the
clean datum, and that of the score $\alpha^2 / \sigma^4$ times.

Reference:
    Song, Durkan, Murray, Ermon, *Maximum likelihood training of score-based diffusion models*, 2021, arXiv:2101.09258;
    Hang et al., *Efficient diffusion training via min-SNR weighting strategy*, 2023, arXiv:2303.09556; Karras et al.,
    2022, arXiv:2206.00364 (table 1); Kingma, Gao, *Understanding diffusion objectives as the ELBO with simple data
    augmentation*, 2023, arXiv:2303.00848 (all of them side by side).
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array

from gmdsl.core.errors import SpecError, check_positive
from gmdsl.core.settings import Checked
from gmdsl.diffusion.process import Process, Scalar


class Weighting(Checked, eqx.Module):
    """Which levels of noise are drawn, and what each counts. Subclasses give both."""

    @abc.abstractmethod
    def time(self, process: Process, share: Array) -> Array:
        """The time below which this share of the draws lies; draws are the images of uniform shares."""

    @abc.abstractmethod
    def weight(self, process: Process, t: Scalar) -> Scalar:
        """Weight of the squared error of the denoiser at a time that was drawn so."""


class LikelihoodWeighting(Weighting):
    r"""The error of the score by $g(t)^2 / 2$ over time: the loss bounds the divergence, but for a constant.

    Levels are spread evenly in log noise, where this weight is that of an error of the noise of one. The loss is in
    nats per coordinate: $\frac1d \int \tfrac12 g^2 E \|s_\theta - \nabla \log q(x_t \mid x_0)\|^2 dt$ from `t_min` on.
    """

    def time(self, process: Process, share: Array) -> Array:
        return process.time_at(share)

    def weight(self, process: Process, t: Scalar) -> Scalar:
        low, high = log_ratio(process, process.t_min), log_ratio(process, process.t_signal)
        return (high - low) * (process.alpha(t) / process.sigma(t)) ** 2


class MinSNRWeighting(Weighting):
    r"""$\min(\text{SNR}, \gamma)$ at evenly spread times: low levels of noise count no more than $\gamma$.

    Attributes:
        gamma: the most that a level counts.
    """

    gamma: float = 5.0

    def __check_init__(self) -> None:
        check_positive(self, "gamma")

    def time(self, process: Process, share: Array) -> Array:
        return process.t_min + (process.t_max - process.t_min) * share

    def weight(self, process: Process, t: Scalar) -> Scalar:
        return jnp.minimum((process.alpha(t) / process.sigma(t)) ** 2, self.gamma)


class EDMWeighting(Weighting):
    r"""Noise-to-signal ratios $r = \sigma / \alpha$ from a log-normal law, each by $(r^2 + s^2) / (r s)^2$.

    Attributes:
        scale: s, standard deviation of one coordinate of the data, in their units.
        mean: mean of log r.
        std: standard deviation of log r; what lies outside of the process counts at its ends.
    """

    scale: float = 0.5
    mean: float = -1.2
    std: float = 1.2

    def __check_init__(self) -> None:
        check_positive(self, "scale", "std")
        if not jnp.isfinite(self.mean):
            raise SpecError(f"EDMWeighting(mean={self.mean}): a finite number is needed.")

    def time(self, process: Process, share: Array) -> Array:
        low, high = log_ratio(process, process.t_min), log_ratio(process, process.t_signal)
        wanted = self.mean + self.std * ndtri(share)
        return process.time_at(jnp.clip((wanted - low) / (high - low), 0.0, 1.0))

    def weight(self, process: Process, t: Scalar) -> Scalar:
        ratio = process.sigma(t) / process.alpha(t)
        return (ratio**2 + self.scale**2) / (ratio * self.scale) ** 2


def log_ratio(process: Process, t: Scalar | float) -> Scalar:
    """The logarithm of noise over signal."""
    t = jnp.asarray(t, float)
    return jnp.log(process.sigma(t)) - jnp.log(process.alpha(t))
