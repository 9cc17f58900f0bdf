r"""`gm.histogram`: the density of a data set by counting, $p(x, y) = \frac{n(x, y) / n}{\Delta x\, \Delta y}$.

A model like any other, $p(x)\, p(y \mid x)\, p(z \mid x, y) \ldots$: it conditions, marginalises and factorises,
exactly, by counting. In one dimension, with n data in cells of width h, the mean integrated squared error is
$\frac{1}{n h} + \frac{h^2}{12} \int p'(x)^2 dx$ to leading order: best at $h \propto n^{-1/3}$, where it falls as
$n^{-2/3}$; in d dimensions as $n^{-2/(d+2)}$.

Reference:
    Freedman and Diaconis, *On the histogram as a density estimator*, 1981.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.user_arrays import as_numbers
from gmdsl.graph.factors.histogram import Grid, HistogramFactor
from gmdsl.graph.names import check_name
from gmdsl.models.model import Model
from gmdsl.spaces.discrete import Categorical
from gmdsl.spaces.elementwise import Interval
from gmdsl.spaces.space import Space

MOST_CELLS = 2**26
DEFAULT = 10  # cells per continuous variable


def histogram(data: Any, bins: Any = None, *, names: Sequence[str] | None = None, smoothing: float = 0.0) -> Model:
    """The density of a data set by counting.

    Args:
        data: a mapping from names to columns of one length (a data frame is one); or an array, (n,) for one variable
            called x, (n, d) for x0, x1, ...
        bins: how many cells, or their increasing edges; one for all, or one per variable (a list, or a dict by name).
            By default 10, and for whole numbers from 0 on one cell per value.
        names: the variables, in the order of the columns of an array.
        smoothing: added to each count; 0 leaves cells without data without probability.

    Returns:
        A model with one scalar variable per column, in an `Interval` (or `Categorical` where values are cells).

    Raises:
        SpecError: columns of different lengths, data outside the edges, NaN, too many cells.

    >>> import numpy as np
    >>> model = histogram({"x": [0.1, 0.2, 0.7, 0.9], "y": [0.1, 0.6, 0.6, 0.9]}, bins=[[0.0, 0.5, 1.0], 2])
    >>> print(model.marginalize("x"))
    Model
    p(y)
      y: Interval(0.1, 0.9), free
    """
    columns = _columns(data, names)
    if not (isinstance(smoothing, int | float) and smoothing >= 0 and math.isfinite(smoothing)):
        raise SpecError(f"histogram(smoothing={smoothing!r}): a number from 0 on is needed.")
    pairs = {
        name: _grid(name, column, wanted)
        for (name, column), wanted in zip(columns.items(), _find_wanted(bins, list(columns)), strict=True)
    }
    grids = [grid for grid, _ in pairs.values()]
    if math.prod(grid.cells for grid in grids) > MOST_CELLS:
        sizes = " * ".join(str(grid.cells) for grid in grids)
        raise SpecError(f"histogram(...): {sizes} cells are more than can be counted. Take fewer bins or variables.")
    cells = [_cells(grid, column) for grid, column in zip(grids, columns.values(), strict=True)]
    table = np.full([grid.cells for grid in grids], float(smoothing))
    np.add.at(table, tuple(cells), 1.0)
    order, factors = list(columns), []
    for i, name in enumerate(order):
        counts = table.sum(axis=tuple(range(i + 1, len(order))))
        factors.append(HistogramFactor(name, tuple(order[:i]), pairs[name][1], tuple(grids[: i + 1]), counts))
    return Model(factors=tuple(factors), declared=tuple((name, space) for name, (_, space) in pairs.items()))


def _columns(data: Any, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    if isinstance(data, Mapping) or (hasattr(data, "columns") and hasattr(data, "__getitem__")):
        keys = list(data.keys()) if names is None else list(names)
        columns = {str(key): as_numbers(f"histogram({key}=...)", data[key]) for key in keys}
    else:
        array = as_numbers("histogram(...)", data)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2:
            raise SpecError(
                f"histogram(...): data of shape {array.shape}; (n,) or (n, d) is needed, one row per datum."
            )
        given = names or (["x"] if array.shape[1] == 1 else [f"x{i}" for i in range(array.shape[1])])
        if len(given) != array.shape[1]:
            raise SpecError(f"histogram(names={list(given)}): {array.shape[1]} columns need as many names.")
        columns = dict(zip(given, array.T, strict=True))
    for name, column in columns.items():
        check_name(name)
        if column.ndim != 1 or not len(column) or len(column) != len(next(iter(columns.values()))):
            shapes = ", ".join(f"{key} {value.shape}" for key, value in columns.items())
            raise SpecError(f"histogram(...): columns of one length are needed, and at least one row; got {shapes}.")
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            raise SpecError(f"histogram({name}=...): infinite values cannot be counted. Remove them.")
    if not columns:
        raise SpecError("histogram(...): there are no columns. Give at least one variable.")
    return columns


def _find_wanted(bins: Any, names: list[str]) -> list[Any]:
    """What was asked for each variable: a number of cells, edges, or None."""
    if isinstance(bins, Mapping):
        for name in bins:
            if name not in names:
                raise unknown_name(f"histogram(bins={{{name!r}: ...}})", name, names)
        return [bins.get(name) for name in names]
    if bins is None or isinstance(bins, int | np.integer):
        return [bins] * len(names)
    one_set = all(np.ndim(edge) == 0 for edge in bins) and not all(isinstance(b, int | np.integer) for b in bins)
    if one_set or (len(names) == 1 and len(bins) != 1):
        return [bins] * len(names)
    if len(bins) != len(names):
        raise SpecError(
            f"histogram(bins=...): {len(bins)} entries for the variables {', '.join(names)}. Give one each."
        )
    return list(bins)


def _grid(name: str, column: np.ndarray, wanted: Any) -> tuple[Grid, Space]:
    operation = f"histogram(bins={{{name!r}: {wanted!r}}})"
    if wanted is None and column.dtype.kind in "biu":
        if column.min() < 0:
            raise SpecError(f"{operation}: {name} has whole numbers below 0; they are cells from 0 on. Give bins.")
        count = max(int(column.max()) + 1, 2)
        return Grid(None, count), Categorical(count)
    if wanted is None or isinstance(wanted, int | np.integer):
        cells = DEFAULT if wanted is None else int(wanted)
        if cells < 1:
            raise SpecError(f"{operation}: at least one cell is needed.")
        low, high = float(column.min()), float(column.max())
        low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
        edges = np.linspace(low, high, cells + 1)
    else:
        edges = as_numbers(operation, wanted).astype(float)
        if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise SpecError(f"{operation}: edges must increase, and two are the least.")
        outside = int(((column < edges[0]) | (column > edges[-1])).sum())
        if outside:
            raise SpecError(
                f"{operation}: {outside} of {len(column)} values of {name} lie outside [{edges[0]:g}, {edges[-1]:g}]."
                " Widen the edges, or drop those rows."
            )
    return Grid(edges, len(edges) - 1), Interval(float(edges[0]), float(edges[-1]))


def _cells(grid: Grid, column: np.ndarray) -> np.ndarray:
    if grid.edges is None:
        return column.astype(int)
    return np.clip(np.searchsorted(grid.edges, column, side="right") - 1, 0, grid.cells - 1)
