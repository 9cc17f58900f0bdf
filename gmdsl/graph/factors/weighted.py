r"""Weighted observations, $\sum_i w_i \log p(y_i \mid \theta)$: frequencies, survey weights, down-weighted outliers.

A whole-number weight counts as that many equal rows. Other weights give a pseudo-likelihood, which is not
normalised over y.

Reference:
    Skinner, *Domain means, regression and multivariate analysis*, in Analysis of Complex Surveys, 1989.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.user_arrays import as_numbers
from gmdsl.graph.conditional import Conditional, Wrapped
from gmdsl.graph.factor import Values
from gmdsl.models.probe.shapes import shapes_of


class Weighted(Wrapped):
    """A conditional of one observed child whose terms are multiplied by weights; it draws as before.

    Attributes:
        base: the conditional.
        weights: one number, or one per batch element of the child.
    """

    base: Conditional
    weights: Any

    @property
    def name(self) -> str:
        return f"{self.base.name} ** weights"

    @property
    def normalized(self) -> bool:
        return False

    def pointwise(self, values: Values) -> dict[str, Array]:
        terms = self.base.pointwise(values)[self.children[0]]
        # A weight of zero takes a row out even where its density is zero.
        counted = jnp.where(self.weights > 0, terms, 0.0)
        return {self.children[0]: jnp.asarray(self.weights, terms.dtype) * counted}

    def rename(self, names: Mapping[str, str]) -> "Weighted":
        return Weighted(self.base.rename(names), self.weights)  # ty: ignore[invalid-argument-type]


def weight(model: Any, weights: Mapping[str, Any]) -> Any:
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
        array = _checked(operation, model, makers[0], name, value)
        factor = Weighted(makers[0], array)
        model = dataclasses.replace(model, factors=tuple(factor if f is makers[0] else f for f in model.factors))
    return model


def _checked(operation: str, model: Any, maker: Conditional, name: str, value: Any) -> Any:
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


def _terms_shape(model: Any, maker: Conditional, name: str) -> tuple[int, ...]:
    known = shapes_of(model)
    known = {n: known[n] for n in (*maker.parents, *maker.children)}
    arrays = {n: value for n, value in known.items() if isinstance(value, jax.ShapeDtypeStruct)}
    numbers = {n: value for n, value in known.items() if n not in arrays}
    return jax.eval_shape(lambda values: maker.pointwise({**numbers, **values})[name], arrays).shape
