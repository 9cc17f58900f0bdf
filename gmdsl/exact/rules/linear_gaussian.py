r"""Gaussian variables whose children are Gaussian with means affine in them are integrated out.

With $z \sim N(m, V)$ and $x \mid z \sim N(A z + b, S)$, $x \sim N(A m + b,\, A V A^T + S)$; the
numbers come from `gmdsl.exact.linear_gaussian`.

Reference:
    Bishop, *Pattern Recognition and Machine Learning*, 2006, section 2.3.3.
"""

from jaxtyping import Array, Float

from gmdsl.exact.linear_gaussian import children_log_density, component_count
from gmdsl.exact.rule import Rule, Shapes
from gmdsl.graph.factor import Values
from gmdsl.graph.factor_graph import FactorGraph


class LinearGaussian(Rule):
    """The Gaussian of the children, evaluated at their values."""

    @property
    def account(self) -> str:
        return "integrated out, linear-Gaussian"

    @property
    def evaluations(self) -> int:
        return 1

    def log_density(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Float[Array, ""]:
        return children_log_density(model, hidden, values)

    def observations(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Array:
        return self.log_density(model, hidden, values)


def linear_gaussian(model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes) -> Rule | str:
    """The rule for some hidden variables, or why it does not apply."""
    count = component_count(model, hidden, shapes)
    if isinstance(count, str):
        return count
    return LinearGaussian() if count == 1 else f"the children are a mixture of {count} Gaussians"
