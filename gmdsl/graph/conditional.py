r"""Conditionals: factors that are normalised over their children given their parents.

$\int p(\text{children} \mid \text{parents})\, d\text{children} = 1$, so a product of conditionals without
cycles is a joint density, and it can be drawn from in order (ancestral sampling).
"""

import abc
from typing import Any

from jaxtyping import Array, Float

from gmdsl.graph.factor import Factor, Values, title
from gmdsl.spaces.space import Space


class Conditional(Factor):
    """A factor with children: it can be evaluated, drawn from and moved to the real line."""

    @property
    def name(self) -> str:
        return title(self.children, self.parents)

    @property
    def normalized(self) -> bool:
        """Whether it integrates to one over its children (an improper prior does not)."""
        return True

    @property
    def drawable(self) -> bool:
        """Whether it can be drawn from; by default where it is normalised."""
        return self.normalized

    @property
    def stepwise(self) -> bool:
        """Whether its children are drawn one after another, so that some can be drawn given the others before them."""
        return len(self.children) == 1

    @property
    def decoded_by_space(self) -> bool:
        """Whether a child whose support does not move can be decoded before its parents are known."""
        return False

    def batch_rank(self, child: str, values: Values) -> int | None:
        """How many axes of a child number independent elements; None where that is not known.

        Args:
            child: its name.
            values: any values of all variables and data, for their shapes.
        """
        return None

    def resized(self, values: Values) -> "tuple[Conditional, dict[str, Space]] | None":
        """The factor for data of other sizes, with the spaces of its children; None where it is made for one size.

        Args:
            values: data, and observed variables that stay observed.
        """
        return None

    def parents_of(self, child: str, values: Values) -> set[str]:
        """The parents that the conditional of one child reads; by default all.

        Args:
            child: its name.
            values: any values of all variables and data, for their shapes.
        """
        return set(self.parents)

    @abc.abstractmethod
    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        """A draw of the children given the parents."""

    def pointwise(self, values: Values) -> dict[str, Array]:
        """Log-densities of the children kept apart by batch dimension, for cross-validation.

        By default one number for an only child; several children have no term each.
        """
        return {self.children[0]: self.log_density(values)} if len(self.children) == 1 else {}

    def term_of_free(self, values: Values) -> Float[Array, ""]:
        """The log-density where a child is free and was decoded by its space."""
        return self.log_density(values)

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
