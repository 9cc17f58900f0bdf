r"""Powers of a density, $p(x)^\beta$: sharper for $\beta > 1$, flatter below, a quotient for $\beta = -1$.

The power acts on the constrained density, observed factors included; the Jacobian of the unconstrained coordinates
enters once, with power one.
"""

import dataclasses
import math
import numbers
from collections.abc import Mapping
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.graph.factor import Deterministic, Factor, Undirected, Values


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

    def log_density(self, values: Values) -> Float[Array, ""]:
        return self.exponent * self.factor.log_density(values)

    def rename(self, names: Mapping[str, str]) -> "Power":
        return Power(self.factor.rename(names), self.exponent)


def power(model: Any, exponent: Any) -> Any:
    """The model with every term to a power.

    Raises:
        SpecError: the power is not a finite number, or a support depends on other variables.
    """
    if not isinstance(exponent, numbers.Real) or isinstance(exponent, bool) or not math.isfinite(exponent):
        raise SpecError(f"model ** {exponent!r}: the power of a density is a finite number, such as 2.0.")
    if float(exponent) == 1.0:
        return model
    for name in model.free:
        if model.spaces[name].dynamic:
            raise SpecError(
                f"model ** {exponent}: the support of {name} depends on other variables, and a power has no parents."
                f" Give {name} a fixed support."
            )
    factors = tuple(_raised(factor, float(exponent)) for factor in model.factors)
    return dataclasses.replace(model, factors=factors)


def _raised(factor: Factor, exponent: float) -> Factor:
    if isinstance(factor, Deterministic):
        return factor
    if isinstance(factor, Power):
        whole = factor.exponent * exponent
        return factor.factor if whole == 1.0 else Power(factor.factor, whole)
    return Power(factor, exponent)
