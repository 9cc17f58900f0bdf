"""Weights on the terms of observed variables."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.user_arrays import as_numbers
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor_graph import FactorGraph, shapes_of
from gmdsl.graph.factors.weighted import Weighted


def weight[M: FactorGraph](model: M, weights: Mapping[str, Any]) -> M:
    """The model with the terms of some observed variables weighted; see `Model.weight`."""
    for name, value in weights.items():
        operation = f"weight({name}=...)"
        if name not in model.observed:
            if name not in model.spaces:
                raise unknown_name(operation, name, model.observed, "observed variables")
            raise SpecError(f"{operation}: {name} is not observed. Condition on it first, then weight its terms.")
        makers = [factor for factor in model.factors if name in factor.children]
        if len(makers) != 1 or not isinstance(makers[0], Conditional) or len(makers[0].children) != 1:
            raise SpecError(f"{operation}: {name} is not drawn by a conditional of its own, so it has no terms.")
        array = _check_weights(operation, model, makers[0], name, value)
        factor = Weighted(makers[0], array)
        model = dataclasses.replace(model, factors=tuple(factor if f is makers[0] else f for f in model.factors))
    return model


def _check_weights(operation: str, model: FactorGraph, maker: Conditional, name: str, value: Any) -> Any:
    """Weights that are finite, not negative, and of a shape that broadcasts to the terms."""
    array = value if isinstance(value, Tracer) else as_numbers(operation, value).astype(float)
    if not isinstance(value, Tracer) and not (np.isfinite(array).all() and (array >= 0).all()):
        bad = array[~(np.isfinite(array) & (array >= 0))][0]
        raise SpecError(f"{operation}: {bad} is no weight. Weights are finite and not negative.")
    terms = _terms_shape(model, maker, name)
    if not _fits(array.shape, terms):
        raise SpecError(
            f"{operation}: shape {array.shape}, but {name} has terms of shape {terms}. Pass one number or that shape."
        )
    return array


def _fits(shape: tuple[int, ...], terms: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts to that of the terms."""
    pairs = zip(reversed(shape), reversed(terms), strict=False)
    return len(shape) <= len(terms) and all(size in (1, whole) for size, whole in pairs)


def _terms_shape(model: FactorGraph, maker: Conditional, name: str) -> tuple[int, ...]:
    known = shapes_of(model)
    known = {n: known[n] for n in (*maker.parents, *maker.children)}
    arrays = {n: value for n, value in known.items() if isinstance(value, jax.ShapeDtypeStruct)}
    numbers = {n: value for n, value in known.items() if n not in arrays}
    return jax.eval_shape(lambda values: maker.pointwise({**numbers, **values})[name], arrays).shape
