r"""A conditional density by counting, $p(y \mid x) = \frac{n(x, y) / n(x)}{\Delta y}$.

Cells of the parents and of the child hold counts; within a cell the density is constant. Where the parents fall into
a cell without data nothing is known, and the density is zero.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gmdsl.graph.factor import Factor, Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.declared import Declared
from gmdsl.graph.factors.power import Power
from gmdsl.spaces.layout import Layout
from gmdsl.spaces.space import Space


class Grid(eqx.Module):
    """The cells of one variable: between edges, or the values 0, 1, ... themselves.

    Attributes:
        edges: increasing, one more than there are cells; None when each value is a cell.
        cells: how many there are.
    """

    edges: Any
    cells: int = eqx.field(static=True)

    def cell(self, value: Any) -> tuple[Int[Array, ""], Array]:
        """The cell of a value, and whether it lies in any; the last edge belongs to the last cell."""
        if self.edges is None:
            index = jnp.asarray(value)
            return jnp.clip(index, 0, self.cells - 1), (index >= 0) & (index < self.cells)
        edges = jnp.asarray(self.edges)
        index = jnp.searchsorted(edges, value, side="right") - 1
        return jnp.clip(index, 0, self.cells - 1), (value >= edges[0]) & (value <= edges[-1])

    def points(self, unit: Array) -> Array:
        """Values at a share of the way through each cell: (shares, cells)."""
        if self.edges is None:
            return jnp.broadcast_to(jnp.arange(self.cells), (unit.shape[0], self.cells))
        edges = jnp.asarray(self.edges)
        return edges[:-1] + unit[:, None] * self.widths

    @property
    def widths(self) -> Float[Array, " cells"]:
        """Widths of the cells; one where each value is a cell."""
        return jnp.ones(self.cells) if self.edges is None else jnp.diff(jnp.asarray(self.edges))


class HistogramFactor(Declared):
    """A child whose density given its parents is a table of counts.

    Attributes:
        child: the variable.
        above: its parents.
        space: where the child lives.
        grids: the cells of the parents and, last, of the child.
        counts: one axis per parent and, last, one for the child.
    """

    child: str = eqx.field(static=True)
    above: tuple[str, ...] = eqx.field(static=True)
    space: Space = eqx.field(static=True)
    grids: tuple[Grid, ...]
    counts: Any

    @property
    def layout(self) -> Layout:
        return ((self.child, self.space),)

    @property
    def parents(self) -> tuple[str, ...]:
        return self.above

    def log_density(self, values: Values) -> Float[Array, ""]:
        row, inside = self._row(values)
        cell, here = self.grids[-1].cell(values[self.child])
        share = row[cell] / jnp.maximum(jnp.sum(row), jnp.finfo(row.dtype).tiny)
        density = share / self.grids[-1].widths[cell]
        known = inside & here & (density > 0)
        return jnp.where(known, jnp.log(jnp.where(known, density, 1.0)), -jnp.inf)

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        key_cell, key_place = jax.random.split(key)
        grid = self.grids[-1]
        cell = jax.random.categorical(key_cell, jnp.log(self._row(values)[0]), shape=shape)
        if grid.edges is None:
            return {self.child: cell}
        return {
            self.child: jnp.asarray(grid.edges)[cell] + grid.widths[cell] * jax.random.uniform(key_place, cell.shape)
        }

    def rename(self, names: Mapping[str, str]) -> "HistogramFactor":
        above = tuple(names.get(name, name) for name in self.above)
        return dataclasses.replace(self, child=names.get(self.child, self.child), above=above)

    def _row(self, values: Values) -> tuple[Array, Array]:
        """The counts of the child in the cell of the parents, and whether the parents lie in any."""
        row, inside = jnp.asarray(self.counts, float), jnp.asarray(True)
        for name, grid in zip(self.above, self.grids, strict=False):
            cell, here = grid.cell(values[name])
            row, inside = row[cell], inside & here
        return row, inside


def grids_of(model: FactorGraph) -> dict[str, Grid]:
    """The cells of the variables that are defined by counting."""
    found = (histogram_in(factor) for factor in reversed(model.factors))  # the first of several
    return {counted.child: counted.grids[-1] for counted in found if counted is not None}


def histogram_in(factor: Factor) -> HistogramFactor | None:
    """The counted density whose power a factor is; None where it is no such thing."""
    while isinstance(factor, Power):
        factor = factor.factor
    return factor if isinstance(factor, HistogramFactor) else None
