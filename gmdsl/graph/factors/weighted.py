r"""Weighted observations, $\sum_i w_i \log p(y_i \mid \theta)$: frequencies, survey weights, down-weighted outliers.

A whole-number weight counts as that many equal rows. Other weights give a pseudo-likelihood, which is not
normalised over y.

Reference:
    Skinner, *Domain means, regression and multivariate analysis*, in Analysis of Complex Surveys, 1989.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Values
from gmdsl.graph.factors.wrapped import Wrapped


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
