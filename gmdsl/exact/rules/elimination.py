r"""Discrete variables are summed out one after the other, $\sum_{s_1} \sum_{s_2} \ldots \prod_c \psi_c(s_c)$.

The density is a product of functions of a few elements each, which is proved from the traced program
(`gmdsl.exact.elimination.scopes`); summing out an element joins the others of its functions
(`gmdsl.exact.elimination.eliminate`). The cost grows with the number of elements times the states of the largest table,
not with all states.

Reference:
    Koller and Friedman, *Probabilistic Graphical Models*, 2009, chapter 9.
"""

import math
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from gmdsl.exact.elimination.blocks import LEAST, in_blocks
from gmdsl.exact.elimination.eliminate import log_sum_exp, planned
from gmdsl.exact.elimination.tables import cards_of
from gmdsl.exact.rule import Rule, Shapes
from gmdsl.graph.evaluate import log_density
from gmdsl.graph.factor import Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.rows import NamedRows
from gmdsl.spaces.states import states_per_element


class Elimination(Rule):
    """The sum by variable elimination.

    Attributes:
        width: the most elements that one is joined with.
        elements: how many are summed out.
        count: the entries of all tables.
    """

    width: int = eqx.field(static=True)
    elements: int = eqx.field(static=True)
    count: int = eqx.field(static=True)

    @property
    def account(self) -> str:
        return f"summed out by variable elimination, width {self.width}, {self.elements} variables"

    @property
    def evaluations(self) -> int:
        return self.count

    def log_density(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Float[Array, ""]:
        spaces = {name: model.spaces[name] for name in hidden}
        found = log_sum_exp(*in_blocks(lambda state: log_density(model, NamedRows(values, state), LEAST), spaces))
        if isinstance(found, str):
            raise ValueError(found)
        return found

    def observations(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Array:
        return self.log_density(model, hidden, values)


def elimination(model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes) -> Rule | str:
    """The rule for some hidden variables, or why it does not apply."""
    spaces = {name: model.spaces[name] for name in hidden}
    for name, space in spaces.items():
        if states_per_element(space) is None:
            return f"{name} in {space.title} has infinitely many values" if space.discrete else ""
    numbers = {name: value for name, value in shapes.items() if not isinstance(value, jax.ShapeDtypeStruct)}
    arrays = {name: value for name, value in shapes.items() if name not in numbers}
    found: list[Any] = []

    def run(values: Values) -> None:
        function, blocks = in_blocks(lambda state: log_density(model, NamedRows(numbers, values, state), LEAST), spaces)
        found.append(planned(function, blocks))

    jax.eval_shape(run, arrays)
    if isinstance(found[0], str):
        return found[0]
    sketch, plan = found[0]
    cards = cards_of(spaces)
    entries = sum(math.prod(cards[i] for i in scope) for scope in sketch.scopes)
    return Elimination(plan.width, len(cards), entries)
