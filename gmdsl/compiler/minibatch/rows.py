r"""Which data and observations of a model are rows: one datum per element of a first axis that they share.

Given them, the log-density is $\log p_0(\theta) + \sum_{i=1}^N \log p(y_i \mid x_i, \theta)$: the factors that touch
rows are the sum, all others the first term. That the sum couples no two rows is not decided here but by numbers
(`gmdsl.compiler.minibatch.batches`).
"""

from dataclasses import dataclass

import numpy as np

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.graph.factor import Deterministic, Names
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.order import reads_of


@dataclass(frozen=True)
class Rows:
    """The rows of a model.

    Attributes:
        names: the data and observed values that hold them, by their first axis.
        count: how many there are.
        factors: indices of the factors that are sums over rows.
    """

    names: Names
    count: int
    factors: tuple[int, ...]


def rows_of(operation: str, model: FactorGraph, given: str | Names | None) -> Rows:
    """The rows of a model, as the user named them.

    Args:
        operation: what the user called, for messages.
        model: the conditioned model.
        given: a dimension of the model's `dims`, the names of arrays, or None: the only first dimension of what is
            observed.

    Raises:
        SpecError: no or several dimensions, a name that holds no rows, lengths that differ, a free variable or a law
            of one that has rows.
    """
    names = _named(operation, model, given)
    arrays = {**model.data, **model.observed}
    lengths = {name: np.shape(arrays[name])[:1] for name in names}
    bare = [name for name, length in lengths.items() if not length]
    if bare:
        raise SpecError(f"{operation}: {bare[0]} is one number and has no rows. Leave it out of rows=...")
    first = names[0]
    other = next((name for name in names if lengths[name] != lengths[first]), None)
    if other is not None:
        raise SpecError(
            f"{operation}: {first} has {lengths[first][0]} rows and {other} has {lengths[other][0]}."
            " What is named in rows=... must share its first axis."
        )
    return Rows(names, int(lengths[first][0]), _sums(operation, model, names))


def _named(operation: str, model: FactorGraph, given: str | Names | None) -> Names:
    """The arrays that hold the rows."""
    arrays = (*model.data, *model.observed)
    labels = {label for _, axes in model.dims for label in axes}
    if given is None:
        return _along(operation, model, _only_dimension(operation, model))
    if isinstance(given, str) and given in labels:
        return _along(operation, model, given)
    names = tuple(dict.fromkeys((given,) if isinstance(given, str) else given))
    for name in names:
        if name in model.free:
            raise SpecError(f"{operation}: {name} is a free variable; rows are data and observed values. Leave it out.")
        if name not in arrays:
            where = "data, observed values and dimensions"
            raise unknown_name(f"{operation}: rows=...", name, [*arrays, *sorted(labels)], where)
    if not names:
        raise SpecError(f"{operation}: rows=() names nothing. {_FIX}")
    return names


def _only_dimension(operation: str, model: FactorGraph) -> str:
    dims = dict(model.dims)
    found = list(dict.fromkeys(dims[name][0] for name in model.observed if dims.get(name)))
    if len(found) == 1:
        return found[0]
    if found:
        raise SpecError(
            f"{operation}: the first dimensions of what is observed are {', '.join(found)}. Say which one the rows lie"
            f" along, rows={found[0]!r}."
        )
    raise SpecError(f"{operation}: which data are rows? {_example(model)}")


def _along(operation: str, model: FactorGraph, label: str) -> Names:
    """The data and observed values whose first axis is a dimension."""
    arrays, names = {**model.data, **model.observed}, []
    for name, axes in model.dims:
        if label not in axes:
            continue
        if name in model.free:
            raise local(operation, name)
        if name in arrays and axes.index(label) > 0:
            raise SpecError(
                f"{operation}: {label} is axis {axes.index(label)} of {name}, and rows lie along the first axis."
                " Transpose it."
            )
        names += [name] if name in arrays else []
    if not names:
        raise SpecError(f"{operation}: no data and nothing observed has the dimension {label}. {_example(model)}")
    return tuple(names)


def _sums(operation: str, model: FactorGraph, names: Names) -> tuple[int, ...]:
    """The factors that touch rows, directly or by what is computed from them."""
    touched, found = reads_of(model, names), []
    for index, factor in enumerate(model.factors):
        through = touched & {*factor.parents, *factor.children}
        if isinstance(factor, Deterministic) or not through:
            continue
        free = [name for name in factor.children if name in model.free]
        if free:
            raise SpecError(
                f"{operation}: the law of {free[0]} reads the rows of {sorted(through)[0]}, so it changes from batch to"
                " batch. Compute what it needs beforehand and pass it as gm.data, or leave batch_size out."
            )
        found.append(index)
    if not found:
        raise SpecError(f"{operation}: no term reads the rows of {', '.join(names)}. {_example(model)}")
    return tuple(found)


def local(operation: str, name: str) -> SpecError:
    """The error for a free variable with an element per row."""
    return SpecError(
        f"{operation}: {name} has one element per row, and a batch moves only those of its own rows. Write its law into"
        f" that of the data with {name} integrated out, or leave batch_size out."
    )


def _example(model: FactorGraph) -> str:
    """What to write, with the names of arrays that are as long as the first observed one."""
    sizes = {name: np.shape(value)[:1] for name, value in {**model.observed, **model.data}.items()}
    long = [name for name in sizes if sizes[name] and sizes[name] == sizes[next(iter(sizes))]]
    return _FIX if not long else f"Name them, rows=({', '.join(map(repr, sorted(long)))}{',' * (len(long) == 1)})."


_FIX = 'Name them, as in rows=("X", "y").'
