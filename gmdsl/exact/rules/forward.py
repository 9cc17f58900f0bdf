r"""A path of labels is summed out by the forward algorithm, where the rest reads it value by value.

$\log p(y) = \log \sum_k \prod_t p(k_t \mid k_{t-1})\, p(y_t \mid k_t)$ at a cost linear in the length. Emissions are
evaluated once for each label, so words of a large vocabulary need no table.

Reference:
    Rabiner, *A tutorial on hidden Markov models*, Proceedings of the IEEE, 1989, section III.
"""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.exact.elements import Axes, proved_axes, terms_by_state
from gmdsl.exact.elimination.states import States
from gmdsl.exact.label_path import (
    LabelSteps,
    best_states,
    drawn_states,
    label_states,
    label_steps,
    seen_terms,
    smoothed,
)
from gmdsl.exact.rule import Rule, Shapes
from gmdsl.graph.factor import Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.time_series import Scan


class Forward(Rule):
    """The sum over a path of labels.

    Attributes:
        count: entries of the tables of all steps.
        axes: where time lies in the terms of the other factors.
    """

    count: int = eqx.field(static=True)
    axes: Axes = eqx.field(static=True)

    @property
    def account(self) -> str:
        return "summed out by the forward algorithm"

    @property
    def evaluations(self) -> int:
        return self.count

    def log_density(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Float[Array, ""]:
        found, evidence, constant = self._steps(model, hidden, values)
        return jnp.sum(seen_terms(found, evidence)[0]) + constant

    def states(self, key: Array, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> States:
        """A draw of the path, the probabilities of its values and the most probable path, given the rest."""
        found, evidence, _ = self._steps(model, hidden, values)
        each = drawn_states(key, found, evidence), smoothed(found, evidence), best_states(found, evidence)
        return States(*({hidden[0]: array} for array in each))

    def _steps(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> tuple[LabelSteps, Array, Array]:
        """The path, what each step adds to each of its values, and what reads no value."""
        path, rest = _taken_apart(model, hidden)
        found = None if path is None else label_steps(path, values)
        assert found is not None
        return found, *terms_by_state(rest, hidden, values, self.axes)

    def observations(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Array:
        return self.log_density(model, hidden, values)


def forward(model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes) -> Rule | str:
    """The rule for some hidden variables, or why it does not apply."""
    path, rest = _taken_apart(model, hidden)
    if path is None:
        return ""
    states = label_states(path.space)
    if len(hidden) > 1 or path.steps.carry is not None or states is None or len(path.space.shape) > 1:
        return f"{', '.join(hidden)} is not one path of single labels without a carry"
    axes = proved_axes(rest, hidden, shapes)
    if axes is None:
        return f"something reads more than one value of {hidden[0]} at once"
    if all(where is None for where in axes):
        return f"nothing reads {hidden[0]}"
    return Forward(path.length * len(states) ** 2, axes)


def _taken_apart(model: FactorGraph, hidden: tuple[str, ...]) -> tuple[Scan | None, FactorGraph]:
    """The path that is hidden, and the model without it."""
    found = [factor for factor in model.factors if isinstance(factor, Scan) and factor.child in hidden]
    rest = tuple(factor for factor in model.factors if not any(factor is path for path in found))
    return (found[0] if len(found) == 1 else None), dataclasses.replace(model, factors=rest)
