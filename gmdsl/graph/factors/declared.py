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
from gmdsl.spaces.bijections import decoded, encoded
from gmdsl.spaces.layout import Layout


class Declared(Conditional):
    """A conditional over children with declared spaces. A kind gives `layout`, `parents`, and what it computes."""

    @property
    @abc.abstractmethod
    def layout(self) -> Layout:
        """Pairs (child, space)."""

    @property
    def children(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.layout)

    def decode(self, values: Values, free: Values) -> tuple[dict[str, Any], Float[Array, ""]]:
        found, terms = {}, []
        for name, space in self.layout:
            if name in free:
                found[name], jacobian = decoded(space, free[name])
                terms += [] if jacobian is None else [jacobian]
        return found, sum(terms, self.log_density({**values, **found}))

    def encode(self, values: Values, children: tuple[str, ...]) -> dict[str, Any]:
        return {name: encoded(space, values[name]) for name, space in self.layout if name in children}
