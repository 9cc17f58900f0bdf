r"""A model of some of its rows, whose log-density is an unbiased estimate of that of all of them.

Of N rows, n are kept, and the factors that are sums over rows are raised to the power N/n:

$$\log p_0(\theta) + \frac{N}{n} \sum_{i \in S} \log p(y_i \mid x_i, \theta),$$

whose mean over random subsets S is the log-density of the whole.
"""

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from gmdsl.compiler.minibatch.rows import Rows, local
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.reads import ARRAYS
from gmdsl.graph.factor import Energy, Factor, Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.power import Power
from gmdsl.graph.factors.weighted import Weighted
from gmdsl.graph.factors.wrapped import innermost, with_innermost
from gmdsl.graph.order import ancestors
from gmdsl.models.operators.redeclare import redeclared


def part(operation: str, model: FactorGraph, rows: Rows, size: int) -> Any:
    """The model of its first `size` rows, every node probed again at the new shapes.

    Raises:
        SpecError: a node that does not shrink with the rows, or a free variable that does.
    """
    for index in rows.factors:
        if not isinstance(innermost(model.factors[index]), Distributed | Energy):
            raise SpecError(
                f"{operation}: {model.factors[index].name} is one term of all {rows.count} rows and is not taken apart."
                " Give the rows a distribution (labels summed out: dist.MixtureSameFamily), or leave batch_size out."
            )
    cut = _take_rows(model, rows, lambda array: array[:size])
    shrunk = tuple(_expand_to(f, rows, size) if i in rows.factors else f for i, f in enumerate(cut.factors))
    data = {name: value for name, value in cut.data.items() if name in rows.names}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a node warns of was said when it was declared
            small = redeclared(operation, dataclasses.replace(model, factors=shrunk), data, wrapped=True)
    except SpecError as error:
        raise _stuck(operation, model, rows, size, str(error)) from None
    for name in model.free:
        if small.spaces[name].shape != model.spaces[name].shape:
            raise local(operation, name)
    for name, value in cut.observed.items():
        if small.spaces[name].shape != np.shape(value):
            found = f"{name} has shape {np.shape(value)} there, but its law has {small.spaces[name].shape}"
            raise _stuck(operation, model, rows, size, found)
    kept = {name: model.spaces[name] for name in model.free}  # a product may have narrowed them
    exponent = rows.count / size
    factors = tuple(Power(f, exponent) if i in rows.factors else f for i, f in enumerate(small.factors))
    declared = tuple((name, kept.get(name, space)) for name, space in small.declared)
    return dataclasses.replace(small, factors=factors, declared=declared, observed=cut.observed)


def holds_rows(model: FactorGraph, rows: Rows) -> tuple[bool, ...]:
    """Which of the arrays of a model, in the order of its leaves, have the rows along their first axis."""
    cut = _take_rows(model, rows, lambda array: array[:0])
    pairs = zip(jax.tree.leaves(model), jax.tree.leaves(cut), strict=True)
    return tuple(old is not new for old, new in pairs if isinstance(old, ARRAYS))


def _take_rows(model: FactorGraph, rows: Rows, take: Callable[[Any], Any]) -> Any:
    """The model with some of the rows of its arrays; nothing is probed again."""
    some = lambda arrays: {name: take(v) if name in rows.names else v for name, v in arrays.items()}  # noqa: E731
    factors = tuple(_take_weights(factor, rows, take) for factor in model.factors)
    return dataclasses.replace(model, factors=factors, data=some(model.data), observed=some(model.observed))


def _take_weights(factor: Factor, rows: Rows, take: Callable[[Any], Any]) -> Factor:
    """A factor with some of the weights of its rows."""
    if factor.inner is None:
        return factor
    new = factor.around(_take_weights(factor.inner, rows, take))
    of_rows = isinstance(new, Weighted) and set(new.children) & set(rows.names)
    if not of_rows or np.shape(new.weights)[:1] != (rows.count,):
        return new
    return Weighted(new.base, take(new.weights))


def _expand_to(factor: Factor, rows: Rows, size: int) -> Factor:
    """A factor whose distribution, where it is one law expanded to all rows, is expanded to fewer."""
    inner = innermost(factor)
    if not isinstance(inner, Distributed):
        return factor
    fewer = dataclasses.replace(inner, call=Fewer(inner.call, rows.count, size))
    return with_innermost(factor, fewer)


class Fewer(eqx.Module):
    """A call that makes a distribution, with the number of rows written in its `.expand` changed.

    Attributes:
        call: makes the distribution of all rows.
        rows: how many there are.
        size: how many are wanted.
    """

    call: Any
    rows: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    @property
    def variables(self) -> tuple[str, ...]:
        return self.call.variables

    def __call__(self, values: Values) -> Any:
        return _fewer(self.call(values), self.rows, self.size)

    def rename(self, names: Mapping[str, str]) -> "Fewer":
        return Fewer(self.call.rename(names), self.rows, self.size)


def _fewer(distribution: Any, rows: int, size: int) -> Any:
    import numpyro.distributions as dist

    if type(distribution) is dist.Independent:
        inner = _fewer(distribution.base_dist, rows, size)
        return dist.Independent(inner, distribution.reinterpreted_batch_ndims)
    shape = getattr(distribution, "batch_shape", ())
    if type(distribution) is not dist.ExpandedDistribution or shape[:1] != (rows,):
        return distribution
    one = distribution.base_dist
    alike = len(one.batch_shape) < len(shape) or one.batch_shape[0] == 1
    return one.expand((size, *shape[1:])) if alike else distribution


def _stuck(operation: str, model: FactorGraph, rows: Rows, size: int, found: str) -> SpecError:
    """The error for a model that cannot be made of fewer rows, with the likely cause."""
    above = set(rows.names).union(*(ancestors(model.factors, name) for name in rows.names))
    sums = [model.factors[index] for index in rows.factors]
    above |= {name for factor in sums for name in (*factor.parents, *factor.children)}
    above |= set().union(*(ancestors(model.factors, name) for name in above))
    arrays = {**model.data, **model.observed}
    for name in sorted(above):
        shape = np.shape(arrays[name]) if name in arrays else getattr(model.spaces.get(name), "shape", ())
        if shape[:1] != (rows.count,) or name in rows.names:
            continue
        if name in model.free:
            return local(operation, name)
        if name in arrays:
            return SpecError(
                f"{operation}: {name} has {rows.count} rows like {rows.names[0]}, and is not among the rows."
                f" Name it too, rows=({', '.join(map(repr, sorted({*rows.names, name})))}), or in dims."
            )
    return SpecError(
        f"{operation}: the model cannot be declared for {size} of its {rows.count} rows: {found.rstrip('.')}."
        " Let shapes follow those of the data, or leave batch_size out."
    )
