r"""What is integrated out, and the equation: $\log p(x) = \log \sum_s p(x, s)$ over two states.

Used by `model.marginalize("k", rules=[my_rule])`; in the package its name goes into `RULES` of `gmdsl/exact/choose.py`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.exact.rule import Rule, Shapes
from gmdsl.graph.evaluate import log_density
from gmdsl.graph.factor import Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.spaces.discrete import Binary


class MyRule(Rule):
    """The sum over one bit."""

    @property
    def account(self) -> str:
        return "summed over two states"

    @property
    def evaluations(self) -> int:
        return 2

    def log_density(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Float[Array, ""]:
        return jnp.logaddexp(*(log_density(model, {**values, hidden[0]: bit}) for bit in (0, 1)))

    def observations(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Array:
        return self.log_density(model, hidden, values)


def my_rule(model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes) -> Rule | str:
    """The rule for some hidden variables, or why it does not apply."""
    if len(hidden) == 1 and model.spaces[hidden[0]] == Binary():
        return MyRule()
    return f"{hidden[0]} is not one bit"
