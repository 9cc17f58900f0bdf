r"""Paths of densities from a reference that can be drawn from to a target that cannot.

$\log\pi_\beta = (1 - \beta) \log q + \beta \log p$: at $\beta = 0$ the reference, at $\beta = 1$ the
target. The power acts on the constrained densities, so the Jacobian enters once.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Float

from gmdsl.core.settings import Checked
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.target import Target


class Path(eqx.Module):
    """A geometric path between two models. Made by `gm.temper`.

    Attributes:
        target: the model at beta = 1.
        reference: the normalised, drawable model at beta = 0.
    """

    target: Any
    reference: Any


class PathTarget(eqx.Module):
    """What a path sampler sees: targets along the path, and exact draws at its beginning."""

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """Length of the flat unconstrained vector."""

    @abc.abstractmethod
    def at(self, beta: Float[Array, ""]) -> Target:
        """The target at one beta."""

    @abc.abstractmethod
    def log_ratio(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """Log p - log q at one point: the derivative of the path with respect to beta."""

    @abc.abstractmethod
    def draw(self, key: Array) -> Float[Array, " dim"]:
        """An exact draw of the reference."""


class ReplicaTarget(Target):
    """Copies of the variables on several rungs of a path, as one flat vector; what a `ReplicaSampler` sees."""

    @property
    @abc.abstractmethod
    def betas(self) -> Float[Array, " rungs"]:
        """The inverse temperatures, in increasing order; the last is 1."""

    @abc.abstractmethod
    def rung(self, number: int | Array) -> Target:
        """The target of one copy."""

    @abc.abstractmethod
    def copies(self, x: Float[Array, " dim"]) -> Float[Array, "rungs part"]:
        """The copies, one per row."""

    @abc.abstractmethod
    def log_ratio(self, x: Float[Array, " part"]) -> Float[Array, ""]:
        """Log p - log q of one copy: what a swap of two temperatures is decided by."""


class ReplicaSampler(Sampler):
    r"""A sampler of chains that move on several rungs of a path at once, such as parallel tempering.

    `step` sees a `ReplicaTarget`. Copies that trade places have other targets afterwards: what a kernel keeps of them
    goes through its `refresh`. The driver records the copy at $\beta = 1$.
    """

    @property
    @abc.abstractmethod
    def betas(self) -> tuple[float, ...]:
        """Inverse temperatures in increasing order; the last is 1."""


class Population(NamedTuple):
    """Weighted particles at the end of a path.

    Attributes:
        position: one flat vector per particle.
        log_weight: unnormalised log-weights; their log-mean-exp estimates log Z.
        betas: the inverse temperatures.
        curve: the estimate of log Z at each beta.
        acceptance: mean acceptance rate of the moves at each beta (NaN when they report none).
    """

    position: Float[Array, "particles dim"]
    log_weight: Float[Array, " particles"]
    betas: Float[Array, " betas"]
    curve: Float[Array, " betas"]
    acceptance: Float[Array, " betas"]


class PathSampler(Checked, eqx.Module):
    """Carries a weighted population along a path. Subclasses give `run`."""

    @abc.abstractmethod
    def run(self, key: Array, path: PathTarget) -> Population:
        """The weighted population at the end of the path; traced by the driver."""
