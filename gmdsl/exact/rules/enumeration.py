r"""Discrete variables are summed out, $\log p(x) = \log \sum_k p(x, k)$.

Arrays of labels are summed element by element where it is proved that the joint density is a product
of one term per element, $\prod_i p(x, k_i)$: n labels with K values cost K evaluations, not $K^n$.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.jaxprs.finite_slopes import with_finite_slopes
from gmdsl.core.numerics import safe_logsumexp
from gmdsl.exact.elements import proved_axes, summed_terms
from gmdsl.exact.rule import Rule, Shapes
from gmdsl.graph.evaluate import log_density
from gmdsl.graph.factor import Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.names import listed
from gmdsl.spaces.states import joint_states, states_per_element

MOST_STATES = 4096


class Enumeration(Rule):
    """The sum over all states of the hidden variables.

    Attributes:
        count: how many states are evaluated.
        axes: where the axes of the hidden variables lie in the term of each factor, None in a term
            that does not read them; None when the states of all elements are enumerated together.
    """

    count: int = eqx.field(static=True)
    axes: tuple[tuple[int, ...] | None, ...] | None = eqx.field(static=True, default=None)

    @property
    def account(self) -> str:
        how = "summed out" if self.axes is None else "summed out element by element"
        return f"{how}, {self.count} states"

    @property
    def evaluations(self) -> int:
        return self.count

    def log_density(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Float[Array, ""]:
        if self.axes is not None:
            apart, constant = summed_terms(model, hidden, values, self.axes)
            return jnp.sum(apart) + constant
        states: Any = joint_states({name: model.spaces[name] for name in hidden}, MOST_STATES)

        def one(state: dict[str, Array]) -> Array:
            return with_finite_slopes(lambda state: log_density(model, {**values, **state}), state)

        return safe_logsumexp(jax.vmap(one)(states))

    def observations(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Array:
        if self.axes is None or None in self.axes:
            return self.log_density(model, hidden, values)
        return summed_terms(model, hidden, values, self.axes)[0]


def enumeration(model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes) -> Rule | str:
    """The rule for some hidden variables, or why it does not apply."""
    spaces = {name: model.spaces[name] for name in hidden}
    for name, space in spaces.items():
        if states_per_element(space) is None:
            return f"{name} in {space.title} has infinitely many values" if space.discrete else ""
    axes = proved_axes(model, hidden, shapes)
    if axes is not None:
        count = math.prod(states_per_element(space) or 1 for space in spaces.values())
        if count <= MOST_STATES:
            return Enumeration(count, axes)
    sizes = [(states_per_element(space) or 1, math.prod(space.shape)) for space in spaces.values()]
    if sum(size * math.log(states) for states, size in sizes) < math.log(MOST_STATES) + 0.5:
        count = math.prod(states**size for states, size in sizes)
        if count <= MOST_STATES:
            return Enumeration(count)
    apart = any(space.shape for space in spaces.values())
    why = " (elements that stay apart are summed one by one; .to_event, and energies, join them)" if apart else ""
    return f"{listed(hidden)} have {_written(sizes)} joint states, more than {MOST_STATES}{why}"


def _written(sizes: list[tuple[int, int]]) -> str:
    """A number of states as a product of powers."""
    powers: dict[int, int] = {}
    for states, size in sizes:
        powers[states] = powers.get(states, 0) + size
    return " * ".join(f"{states}^{size}" if size > 1 else str(states) for states, size in powers.items())
