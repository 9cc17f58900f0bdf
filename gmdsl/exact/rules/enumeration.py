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

from gmdsl.core.jaxprs.dataflow import CONSTANT, UNKNOWN
from gmdsl.core.jaxprs.elementwise import element_axes
from gmdsl.core.jaxprs.finite_slopes import with_finite_slopes
from gmdsl.core.numerics import safe_logsumexp
from gmdsl.exact.gaussian.from_model import filled
from gmdsl.exact.missing import Missing
from gmdsl.exact.rule import Rule, Shapes
from gmdsl.graph.evaluate import log_density
from gmdsl.graph.factor import Deterministic, Factor, Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.names import listed
from gmdsl.spaces.states import element_states, joint_states, states_per_element

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
            apart, constant = self._elements(model, hidden, values)
            return jnp.sum(apart) + constant
        states: Any = joint_states({name: model.spaces[name] for name in hidden}, MOST_STATES)

        def one(state: dict[str, Array]) -> Array:
            return with_finite_slopes(lambda state: log_density(model, {**values, **state}), state)

        return safe_logsumexp(jax.vmap(one)(states))

    def observations(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Array:
        if self.axes is None or None in self.axes:
            return self.log_density(model, hidden, values)
        return self._elements(model, hidden, values)[0]

    def _elements(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> tuple[Array, Array]:
        """The log-density of each element, and that of factors which read no hidden variable."""
        spaces = {name: model.spaces[name] for name in hidden}

        def terms(state: dict[str, Array]) -> tuple[Array, Array]:
            whole = {name: jnp.full(spaces[name].shape, value) for name, value in state.items()}
            return _split(_terms(model, {**values, **whole}), self.axes or ())

        apart, constant = jax.vmap(lambda state: with_finite_slopes(terms, state))(element_states(spaces))
        return safe_logsumexp(jnp.moveaxis(apart, 0, -1)), constant[0]


def enumeration(model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes) -> Rule | str:
    """The rule for some hidden variables, or why it does not apply."""
    spaces = {name: model.spaces[name] for name in hidden}
    for name, space in spaces.items():
        if states_per_element(space) is None:
            return f"{name} in {space.title} has infinitely many values" if space.discrete else ""
    axes = _proved_axes(model, hidden, shapes)
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


def _proved_axes(
    model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes
) -> tuple[tuple[int, ...] | None, ...] | None:
    """Where the axes of the hidden variables lie in each term; None when their elements may mix."""
    shape = model.spaces[hidden[0]].shape
    if not shape or any(model.spaces[name].shape != shape for name in hidden):
        return None
    labels = [jnp.zeros(shape, int) for _ in hidden]
    numbers = {name: value for name, value in shapes.items() if not isinstance(value, jax.ShapeDtypeStruct)}
    arrays = {name: value for name, value in shapes.items() if name not in numbers}
    found: list[Any] = []

    def run(values: Values) -> None:
        def terms(*labels: Array) -> list[Array]:
            return _terms(model, {**numbers, **values, **dict(zip(hidden, labels, strict=True))})

        found.append(element_axes(terms, labels))

    jax.eval_shape(run, arrays)
    if UNKNOWN in found[0]:
        return None
    return tuple(None if state == CONSTANT else state for state in found[0])


def _terms(model: FactorGraph, values: Values) -> list[Array]:
    """The terms of the log-density, with the batch dimensions of distributions kept apart."""
    have = filled(model, values)
    return [_term(factor, have) for factor in model.factors if not isinstance(factor, Deterministic)]


def _term(factor: Factor, have: Values) -> Array:
    if isinstance(factor, Distributed | Missing):
        return factor.pointwise(have)[factor.children[0]]
    return factor.log_density(have)


def _split(terms: list[Array], axes: tuple[tuple[int, ...] | None, ...]) -> tuple[Array, Array]:
    """The terms added up: by element, and those that belong to no element."""
    apart, constant = [], [jnp.zeros(())]
    for term, where in zip(terms, axes, strict=True):
        if where is None:
            constant.append(jnp.sum(term))
        else:
            moved = jnp.moveaxis(term, where, range(len(where)))
            apart.append(jnp.sum(moved, axis=tuple(range(len(where), moved.ndim))))
    return sum(apart[1:], apart[0]), sum(constant[1:], constant[0])
