"""Where the score of a noised family comes from: a closed form, or a network.

A denoiser works on one flat vector; the family around it knows names and shapes.
"""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Float

from gmdsl.diffusion.process import Process, Scalar
from gmdsl.spaces.layout import Layout


class Denoiser(eqx.Module):
    """Denoiser, score and (where it is known) density of data under a process of noising.

    Class attributes:
        kind: how the score comes about, for capabilities: "exact" or "learned".
    """

    kind: ClassVar[str] = "exact"

    @property
    def declared_inputs(self) -> Layout:
        """What the score depends on beside the datum, with its spaces."""
        return ()

    @property
    def inputs(self) -> Layout:
        """Those that have no value yet."""
        return ()

    def at(self, given: Mapping[str, Any]) -> "Denoiser":
        """The denoiser at values of its inputs; one without any is as it was."""
        del given
        return self

    @property
    def zero_is_finite(self) -> bool:
        """Whether score and density are finite at t = 0, where a data set has no density."""
        return False

    @property
    def paired(self) -> bool:
        """Whether noise was paired with data in learning: the velocity is then that of a flow without a score."""
        return False

    @property
    def width(self) -> Any:
        """Standard deviation of a Gaussian by which the clean data are blurred, where it is known; 0 where not."""
        return 0.0

    @abc.abstractmethod
    def denoise(self, process: Process, x: Float[Array, " dim"], t: Scalar) -> Float[Array, " dim"]:
        """The expected clean datum given a noised one."""

    @abc.abstractmethod
    def score(self, process: Process, x: Float[Array, " dim"], t: Scalar) -> Float[Array, " dim"]:
        """The gradient of the log-density of the noised data."""

    def velocity(self, process: Process, x: Float[Array, " dim"], t: Scalar) -> Float[Array, " dim"]:
        """The velocity of the probability flow, finite also where no signal is left."""
        return process.velocity_of(self.denoise(process, x, t), self.score(process, x, t), t)

    def log_density(self, process: Process, x: Float[Array, " dim"], t: Scalar) -> Scalar | None:
        """The log-density of the noised data; None when only the score is known."""
        del process, x, t

    def divergence(self, process: Process, x: Float[Array, " dim"], t: Scalar) -> Scalar:
        """The trace of the Jacobian of the score: the Laplacian of the log-density."""
        jacobian = jax.jacfwd(lambda x: self.score(process, x, t))(x)
        return jacobian.trace()

    def frozen(self, process: Process, t: Scalar, declared: Any) -> Any:
        """The factor of the noised variables at one time; None when the density is not known."""
        del process, t, declared

    def earlier(self, process: Process, x: Float[Array, " dim"], s: Scalar, t: Scalar, declared: Any) -> Any:
        """The factor of the variables at time s < t given x at time t; None when it is not known."""
        del process, x, s, t, declared
