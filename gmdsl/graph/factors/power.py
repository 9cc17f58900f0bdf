r"""Powers of a density, $p(x)^\beta$: sharper for $\beta > 1$, flatter below, a quotient for $\beta = -1$.

The power acts on the constrained density, observed factors included; the Jacobian of the unconstrained coordinates
enters once, with power one.
"""

from collections.abc import Mapping

import equinox as eqx
from jaxtyping import Array, Float

from gmdsl.graph.factor import Factor, Undirected, Values


class Power(Undirected):
    """A factor to a power; its normalising constant is unknown.

    Attributes:
        factor: the factor.
        exponent: the power.
    """

    factor: Factor
    exponent: float = eqx.field(static=True)

    @property
    def name(self) -> str:
        return f"{self.factor.name} ** {self.exponent:g}"

    @property
    def parents(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.factor.children, *self.factor.parents)))

    @property
    def inner(self) -> Factor:
        return self.factor

    def around(self, inner: Factor) -> "Power":
        return Power(inner, self.exponent)

    def log_density(self, values: Values) -> Float[Array, ""]:
        return self.exponent * self.factor.log_density(values)

    def rename(self, names: Mapping[str, str]) -> "Power":
        return Power(self.factor.rename(names), self.exponent)
