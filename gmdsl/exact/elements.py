r"""Terms of a density that stay apart for the elements of hidden labels, $\prod_i p(x, k_i)$.

Proved from the traced program, never guessed: then n labels with K values need K evaluations, and not $K^n$.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.core.jaxprs.dataflow import CONSTANT, UNKNOWN
from gmdsl.core.jaxprs.elementwise import element_axes
from gmdsl.core.jaxprs.finite_slopes import with_finite_slopes
from gmdsl.core.numerics import safe_logsumexp
from gmdsl.exact.gaussian.from_model import filled
from gmdsl.exact.missing import Missing
from gmdsl.exact.rule import Shapes
from gmdsl.graph.factor import Deterministic, Factor, Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.spaces.states import element_states

type Axes = tuple[tuple[int, ...] | None, ...]


def proved_axes(model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes) -> Axes | None:
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


def terms_by_state(model: FactorGraph, hidden: tuple[str, ...], values: Values, axes: Axes) -> tuple[Array, Array]:
    """The log-density of each element in each of its states, states last, and that of what reads no hidden variable."""
    spaces = {name: model.spaces[name] for name in hidden}

    def terms(state: dict[str, Array]) -> tuple[Array, Array]:
        whole = {name: jnp.full(spaces[name].shape, value) for name, value in state.items()}
        return _split(_terms(model, {**values, **whole}), axes)

    apart, constant = jax.vmap(lambda state: with_finite_slopes(terms, state))(element_states(spaces))
    return jnp.moveaxis(apart, 0, -1), constant[0]


def summed_terms(model: FactorGraph, hidden: tuple[str, ...], values: Values, axes: Axes) -> tuple[Array, Array]:
    """The log-density of each element with its states summed out, and that of what reads no hidden variable."""
    apart, constant = terms_by_state(model, hidden, values, axes)
    return safe_logsumexp(apart), constant


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
