r"""Paths of densities from a reference that can be drawn from to a target that cannot.

$\log\pi_\beta = (1 - \beta) \log q + \beta \log p$: at $\beta = 0$ the reference, at $\beta = 1$ the
target. The power acts on the constrained densities, so the Jacobian enters once. Other ways between the two are an
`Interpolation`.
"""

import abc
import textwrap
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.settings import Checked
from gmdsl.inference.interpolation import Geometric, Interpolation
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.target import Target


class Path(eqx.Module):
    """A path between two models. Made by `gm.temper` or `gm.temper_data`.

    Attributes:
        target: the model at beta = 1.
        reference: the normalised, drawable model at beta = 0.
        interpolation: the densities between them.
    """

    target: Any
    reference: Any
    interpolation: Interpolation = Geometric()

    def __repr__(self) -> str:
        ends = {"reference": self.reference, "target": self.target}
        told = [f"  {name}: {textwrap.indent(repr(end), ' ' * 4).lstrip()}" for name, end in ends.items()]
        return "\n".join([f"Path({self.interpolation!r})", *told])

    def at(self, beta: float) -> Any:
        r"""The model at one beta, $\propto q^{1-\beta} p^\beta$.

        Args:
            beta: from 0, the reference, to 1, the target.

        Raises:
            SpecError: another number.

        >>> import gmdsl as gm, numpyro.distributions as dist
        >>> path = gm.temper(gm.energy(lambda x: x**4, x=gm.Real()), gm.joint(x=dist.Normal(0, 1)))
        >>> round(float(gm.compile(path.at(0.5)).log_density({"x": 1.0})), 3)  # (-1 - 1.419) / 2
        -1.209
        """
        if isinstance(beta, bool) or not isinstance(beta, int | float | np.number) or not 0.0 <= beta <= 1.0:
            raise SpecError(f"path.at({beta!r}): a number from 0 (the reference) to 1 (the target) is needed.")
        return self.interpolation.model(self.target, self.reference, float(beta))


class PathTarget(eqx.Module):
    """What a path sampler sees: targets along the path, and exact draws at its beginning."""

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """Length of the flat unconstrained vector."""

    @property
    @abc.abstractmethod
    def interpolation(self) -> Interpolation:
        """The densities between: the log-density at beta is that of the reference plus its `log_weight`."""

    @abc.abstractmethod
    def at(self, beta: Float[Array, ""]) -> Target:
        """The target at one beta."""

    @abc.abstractmethod
    def log_ratio(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """Log p - log q at one point; on the geometric path the derivative of the log-density in beta."""

    @abc.abstractmethod
    def log_reference(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """The flat log-density of the reference at one point, wherever the target has none."""

    def is_broken(self, x: Float[Array, " dim"]) -> Array:
        """Whether the log-ratio is NaN at one point, where `log_ratio` says -inf. By default it never is."""
        del x
        return jnp.zeros((), bool)

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
    def at(self, beta: Float[Array, ""]) -> Target:
        """The target of a copy at any beta, for a sampler that moves its rungs."""

    @abc.abstractmethod
    def draw(self, key: Array) -> Float[Array, " part"]:
        """An exact draw of the reference, for the copy at beta = 0."""

    @property
    @abc.abstractmethod
    def interpolation(self) -> Interpolation:
        """The densities between reference and target."""

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
        rates: acceptance rate of each particle at the end, over a few transitions; None where it was not looked at.
        stages: how many steps from beta to beta there were; what is stored beyond them is padding.
        broken: share of log-densities at draws and proposals that were NaN; None where it was not counted.
        count: how many particles there are; what is stored beyond them is padding. None where all count.
        record: what else a sampler needs for its estimate of log Z.
    """

    position: Float[Array, "particles dim"]
    log_weight: Float[Array, " particles"]
    betas: Float[Array, " betas"]
    curve: Float[Array, " betas"]
    acceptance: Float[Array, " betas"]
    stages: Any = None
    rates: Any = None
    broken: Any = None
    count: Any = None
    record: Any = None


class PathSampler(Checked, eqx.Module):
    """Carries a weighted population along a path. Subclasses give `run`."""

    @property
    def groups(self) -> int:
        """How many independent populations of one size the particles are made of; 0 where each is independent."""
        return 0

    def bound(self, density: Any) -> Self:
        """The sampler with what it must know of the model at the end of the path (`Sampler.bound`).

        By default nothing is added; one that moves particles binds its kernel, which refuses what it cannot move.

        Raises:
            SpecError: names the variable and the way out.
        """
        del density
        return self

    def estimate(self, population: Population) -> Any:
        """Log Z (a `gmdsl.results.estimate.LogZ`) where the weights alone do not tell its error; None by default.

        Args:
            population: what `run` returned, as NumPy arrays without padding.
        """
        del population

    @abc.abstractmethod
    def run(self, key: Array, path: PathTarget) -> Population:
        """The weighted population at the end of the path; traced by the driver."""


def check_move(owner: str, move: Any) -> None:
    """Refuses what cannot move particles or copies along a path.

    Raises:
        SpecError: a class, something that is no sampler, or a kernel with another law than its target's.
    """
    if isinstance(move, type):
        raise SpecError(f"{owner}(move={move.__name__}): a class. Pass an instance, gm.{move.__name__}().")
    if not isinstance(move, Sampler) or isinstance(move, ReplicaSampler):
        raise SpecError(f"{owner}(move={type(move).__name__}): a Markov kernel is needed, such as gm.MALA().")
    if move.bias:
        raise SpecError(f"{owner}(move={type(move).__name__}()): {move.bias}. Take an exact kernel, gm.MALA().")
