"""What a sampler sees: a target, one flat vector with a log-density and a score."""

import abc
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError

type States = tuple[tuple[int, float, float] | None, ...]


class Target(eqx.Module):
    r"""A log-density over one flat, unconstrained vector, Jacobians included.

    The `score` is the gradient of the log-density, $\nabla_x \log p(x)$.
    """

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """Length of the vector."""

    @property
    def states(self) -> States:
        """For each coordinate of a discrete variable how many values it has, the first, and the gap between two.

        None for a coordinate that is continuous, and for one with infinitely many values.
        """
        return (None,) * self.dim

    @abc.abstractmethod
    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """The log-density at one point, up to a constant."""

    def log_density_and_score(self, x: Float[Array, " dim"]) -> tuple[Float[Array, ""], Float[Array, " dim"]]:
        """Both at once, for the price of the gradient."""
        return jax.value_and_grad(self.log_density)(x)

    def score(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """The gradient of the log-density at one point."""
        return jax.grad(self.log_density)(x)

    def evaluated(self, x: Float[Array, " dim"], found: tuple[Array, Array]) -> "Target":
        """The target with its log-density and score at one point already found; by default it forgets them."""
        del x, found
        return self

    def drawn(self, x: Float[Array, " dim"]) -> Float[Array, " model_dim"]:
        """What of the vector is a draw of the model: all of it, but for replicas on a path."""
        return x

    @property
    def copies_at_start(self) -> int:
        """Equal parts of the vector that begin at one place: one, but for replicas on a path."""
        return 1

    def started(self, x: Float[Array, " model_dim"]) -> Float[Array, " dim"]:
        """Where a chain starts whose draw of the model is x."""
        return x

    def minibatch(self, key: Array, batches: Any) -> "Target":
        """The target with a random part of the rows in place of all: an unbiased estimate of the log-density.

        Args:
            key: a random key, which chooses the rows.
            batches: how parts are made (`gmdsl.compiler.minibatch.batches.Minibatches`), bound to the model.

        Raises:
            SpecError: this kind of target has no rows.
        """
        del key, batches
        raise SpecError(f"minibatch(...): {type(self).__name__} has no rows to take a part of. Use all the data.")
