r"""Conditionals whose children live in declared spaces, whatever their parents are.

The children are moved to the real line by the bijections of their spaces:
$\log p(\text{children} \mid \text{parents})$ is evaluated where they are, and the log-determinants of the Jacobians are
added.
"""

import abc
from typing import Any

from jaxtyping import Array, Float

from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Values
from gmdsl.spaces.bijections import decoded, encoded, from_support, to_support
from gmdsl.spaces.layout import Layout
from gmdsl.spaces.space import Space


class Declared(Conditional):
    """A conditional over children with declared spaces. A kind gives `layout`, `parents`, and what it computes."""

    @property
    @abc.abstractmethod
    def layout(self) -> Layout:
        """Pairs (child, space)."""

    @property
    def children(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.layout)

    def constraint_of(self, name: str, space: Space, values: Values) -> Any:
        """The NumPyro constraint of a child; a kind whose bounds move finds it from the parents."""
        return space.constraint

    def decode(self, values: Values, free: Values) -> tuple[dict[str, Any], Float[Array, ""]]:
        found, terms = {}, []
        for name, space in self.layout:
            if name in free:
                moved = to_support(self.constraint_of(name, space, values), free[name]) if space.dynamic else None
                found[name], jacobian = decoded(space, free[name]) if moved is None else moved
                terms += [] if jacobian is None else [jacobian]
        return found, sum(terms, self.log_density({**values, **found}))

    def encode(self, values: Values, children: tuple[str, ...]) -> dict[str, Any]:
        return {
            name: from_support(self.constraint_of(name, space, values), values[name])
            if space.dynamic
            else encoded(space, values[name])
            for name, space in self.layout
            if name in children
        }
