r"""Variables whose density was counted are summed over their cells, $p(y) = \sum_x p(x, y)\, \Delta x$.

Exact where every factor that reads the variable is constant within its cells: where all of them were counted, on one
set of edges.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.numerics import safe_logsumexp
from gmdsl.exact.rule import Rule, Shapes
from gmdsl.graph.evaluate import log_density
from gmdsl.graph.factor import Deterministic, Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.histogram import grids_of, histogram_in

MOST_CELLS = 2**16


class Counting(Rule):
    """The sum over the cells of the hidden variables.

    Attributes:
        cells: how many are visited.
    """

    cells: int = eqx.field(static=True)

    @property
    def account(self) -> str:
        return f"summed over {self.cells} cells"

    @property
    def evaluations(self) -> int:
        return self.cells

    def log_density(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Float[Array, ""]:
        cells = grids_of(model)
        grids = [cells[name] for name in hidden]
        index = np.indices([grid.cells for grid in grids]).reshape(len(hidden), -1)
        middle = jnp.full(1, 0.5)
        points = {name: grid.points(middle)[0][rows] for name, grid, rows in zip(hidden, grids, index, strict=True)}
        width = sum(jnp.log(grid.widths[rows]) for grid, rows in zip(grids, index, strict=True))
        heights = jax.vmap(lambda point: log_density(model, {**values, **point}))(points)
        return safe_logsumexp(heights + width)

    def observations(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Array:
        return self.log_density(model, hidden, values)


def counting(model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes) -> Rule | str:
    """The rule for some hidden variables, or why it does not apply."""
    del shapes
    cells_of = grids_of(model)
    missing = [name for name in hidden if name not in cells_of]
    if missing:
        return f"{missing[0]} was not counted"
    grids = {name: cells_of[name] for name in hidden}
    for factor in model.factors:
        if isinstance(factor, Deterministic) or not set(hidden) & {*factor.parents, *factor.children}:
            continue
        counted = histogram_in(factor)
        if counted is None:
            return f"{factor.name} is not constant within cells"
        for name, grid in zip((*counted.parents, counted.child), counted.grids, strict=True):
            if name in hidden and not _same(grid, grids[name]):
                return f"the cells of {name} differ in {factor.name}"
    cells = math.prod(grid.cells for grid in grids.values())
    if cells > MOST_CELLS:
        return f"{', '.join(hidden)} have {cells} cells together, more than {MOST_CELLS}"
    return Counting(cells)


def _same(first: Any, second: Any) -> bool:
    if first.edges is None or second.edges is None:
        return first.cells == second.cells and first.edges is second.edges
    return np.array_equal(np.asarray(first.edges), np.asarray(second.edges))
