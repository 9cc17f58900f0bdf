r"""A data set under any kernel, $p(y) = \frac{1}{n} \sum_i p(y \mid x_i)$.

A Gaussian kernel gives the kernel density estimate. No property of the kernel is needed: it is evaluated at each row.

Reference:
    Parzen, *On estimation of a probability density function and mode*, 1962.
"""

import math

import equinox as eqx
import jax
from jaxtyping import Array, Float

from gmdsl.core.numerics import safe_logsumexp
from gmdsl.exact.rule import Rule, Shapes
from gmdsl.graph.evaluate import completed, total
from gmdsl.graph.factor import Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.empirical import EmpiricalFactor

AT_ONCE = 4096  # rows evaluated together


class EmpiricalKernel(Rule):
    """The average over the rows of a data set.

    Attributes:
        rows: how many there are.
    """

    rows: int = eqx.field(static=True)

    @property
    def account(self) -> str:
        return f"averaged over {self.rows} rows of data, empirical x kernel"

    @property
    def evaluations(self) -> int:
        return self.rows

    def log_density(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Float[Array, ""]:
        (data,) = [factor for factor in model.factors if isinstance(factor, EmpiricalFactor)]
        kernels = tuple(factor for factor in model.factors if factor is not data)

        def at(row: dict[str, Array]) -> Array:
            return total(kernels, completed(model, {**values, **row}))

        if self.rows <= AT_ONCE:
            found = jax.vmap(at)(data.values())
        else:
            found = jax.lax.map(at, data.values(), batch_size=AT_ONCE)
        return safe_logsumexp(found) - math.log(self.rows)

    def observations(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Array:
        return self.log_density(model, hidden, values)


def empirical_kernel(model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes) -> Rule | str:
    """The rule for some hidden variables, or why it does not apply."""
    del shapes
    found = [factor for factor in model.factors if isinstance(factor, EmpiricalFactor)]
    if not found:
        return ""
    outside = [name for name in hidden if not any(name in factor.children for factor in found)]
    if outside:
        return f"{outside[0]} is not drawn from rows of data"
    if len(found) > 1:
        return f"{', '.join(hidden)} are drawn from {len(found)} data sets"
    visible = [name for name in found[0].children if name not in hidden]
    if visible:
        return f"{visible[0]} is drawn together with {hidden[0]} and has no density; hide it too"
    return EmpiricalKernel(found[0].length)
