r"""A Gaussian mixture under a Gaussian kernel is a Gaussian mixture.

With $z \sim \sum_k w_k N(m_k, V_k)$ and $x \mid z \sim N(A z + b, S)$,
$x \sim \sum_k w_k N(A m_k + b,\, A V_k A^T + S)$. The kernel may be a mixture too: each pair of components
is one of the result. This is how data of several clusters look through Gaussian noise.

Reference:
    Bishop, *Pattern Recognition and Machine Learning*, 2006, sections 2.3.3 and 2.3.9.
"""

import equinox as eqx
from jaxtyping import Array, Float

from gmdsl.exact.linear_gaussian import children_log_density, component_count
from gmdsl.exact.rule import Rule, Shapes
from gmdsl.graph.factor import Values
from gmdsl.graph.factor_graph import FactorGraph


class MixtureKernel(Rule):
    """The mixture of the children, evaluated at their values.

    Attributes:
        components: of the mixture over the hidden variables and their children.
    """

    components: int = eqx.field(static=True)

    @property
    def account(self) -> str:
        return f"integrated out, Gaussian mixture x Gaussian kernel, {self.components} components"

    @property
    def evaluations(self) -> int:
        return self.components

    def log_density(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Float[Array, ""]:
        return children_log_density(model, hidden, values)

    def observations(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Array:
        return self.log_density(model, hidden, values)


def mixture_kernel(model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes) -> Rule | str:
    """The rule for some hidden variables, or why it does not apply."""
    count = component_count(model, hidden, shapes)
    if isinstance(count, str):
        return count
    return MixtureKernel(count) if count > 1 else "the children are one Gaussian"
