r"""Conditionals: factors that are normalised over their children given their parents.

$\int p(\text{children} \mid \text{parents})\, d\text{children} = 1$, so a product of conditionals without
cycles is a joint density, and it can be drawn from in order (ancestral sampling).
"""

import abc
from typing import Any

from jaxtyping import Array, Float

from gmdsl.graph.factor import Factor, Values


class Conditional(Factor):
    """A factor with children: it can be evaluated, drawn from and moved to the real line."""

    @property
    @abc.abstractmethod
    def normalized(self) -> bool:
        """Whether it integrates to one over its children (an improper prior does not)."""

    @property
    @abc.abstractmethod
    def drawable(self) -> bool:
        """Whether it can be drawn from."""

    @abc.abstractmethod
    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        """A draw of the children given the parents."""

    @abc.abstractmethod
    def pointwise(self, values: Values) -> dict[str, Array]:
        """Log-densities of the children kept apart by batch dimension, for cross-validation."""

    @abc.abstractmethod
    def decode(self, values: Values, free: Values) -> tuple[dict[str, Any], Float[Array, ""]]:
        """Children from unconstrained values, and the log-density with the Jacobian.

        Args:
            values: the parents, and the children that are already known (observed).
            free: unconstrained values of the other children.
        """

    @abc.abstractmethod
    def encode(self, values: Values, children: tuple[str, ...]) -> dict[str, Any]:
        """Unconstrained values of some children at a point: the inverse of `decode`."""
