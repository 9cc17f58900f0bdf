"""The same model for other data: every node is probed again with the new shapes.

A model keeps the calls behind its nodes, so rows can be added or taken away after it was declared: prediction at
new inputs, a training set of another size.
"""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from gmdsl.core.errors import RankWarning, SpecError, unknown_name
from gmdsl.core.user_arrays import as_numbers
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Energy, Factor
from gmdsl.graph.factor_graph import FactorGraph, shapes_of
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.time_series import Scan
from gmdsl.graph.factors.wrapped import innermost, unwrapped, with_innermost
from gmdsl.graph.order import ordered
from gmdsl.models.operators.condition import checked_observation
from gmdsl.models.probe.indices import check_indices
from gmdsl.models.probe.reproved import limits_of, with_guards
from gmdsl.models.probe.shapes import check_numbers, probe_energy, probe_node
from gmdsl.models.probe.supports import check_supports
from gmdsl.models.probe.time_series import probe_series
from gmdsl.spaces.from_constraint import with_shape
from gmdsl.spaces.space import Space, abstract


def redeclared[M: FactorGraph](operation: str, model: M, values: Mapping[str, Any], *, wrapped: bool = False) -> M:
    """The model with other values of its data, of any size; nothing is observed but what is given.

    Args:
        operation: what the user called, for messages.
        model: what is declared anew.
        values: new values of data, of bound inputs and of observed variables, which stay observed.
        wrapped: whether conditionals keep their gaps and weights, which must fit the new shapes.

    Raises:
        SpecError: an unknown name, another rank or kind of number, a node that does not fit the new shapes.
    """
    for name, value in values.items():
        if value is None and name in model.observed:
            raise SpecError(f"{operation}(data={{{name!r}: None}}): leave {name} out; it is drawn.")
        if name not in model.data and name not in model.observed:
            where = f"{operation}(data={{{name!r}: ...}})"
            for factor in model.factors:
                if why := factor.why_fixed(name):
                    raise SpecError(f"{where}: {why}")
            raise unknown_name(where, name, [*model.data, *model.observed], "data")
    data = {name: _array(operation, model, name, values.get(name, old)) for name, old in model.data.items()}
    kept = model.factors if wrapped else tuple(unwrapped(f) for f in model.factors)
    bare = dataclasses.replace(model, data=data, observed={}, factors=kept)
    insides = [innermost(factor) for factor in kept]
    made = {name for factor in insides for name in factor.children}
    rest = tuple((name, space) for name, space in model.declared if name not in made)
    known = shapes_of(dataclasses.replace(bare, declared=rest))
    spaces: dict[str, Space] = {}
    again: dict[int, Factor] = {}
    for factor in ordered(insides):
        again[id(factor)] = _probe_again(operation, model, factor, known, spaces, {**values, **data})
        known |= {name: abstract(spaces[name]) for name in factor.children}
    declared = tuple((name, spaces.get(name, space)) for name, space in model.declared)
    bound = tuple((name, with_shape(space, np.shape(data[name]))) for name, space in model.bound if name in data)
    factors = tuple(with_innermost(f, again[id(inside)]) for f, inside in zip(kept, insides, strict=True))
    model = dataclasses.replace(bare, factors=factors, declared=declared, bound=bound)
    observed = {
        name: checked_observation(f"{operation}(data={{{name!r}: ...}})", model, name, value)
        for name, value in values.items()
        if name in spaces
    }
    model = dataclasses.replace(model, observed=observed)
    check_numbers(model, values)
    check_indices(f"{operation}(data=...)", model, values)
    return check_supports(f"{operation}(data=...)", model, observed)


def _probe_again(
    operation: str,
    model: FactorGraph,
    factor: Factor,
    known: Mapping[str, Any],
    spaces: dict[str, Space],
    given: Mapping[str, Any],
) -> Factor:
    """A factor at the new shapes; the spaces of its children are added."""
    old = model.spaces
    shapes = {name: old[name].shape if name in old else np.shape(model.data.get(name, 0.0)) for name in factor.parents}
    resized = [
        name
        for name, shape in shapes.items()
        if name in {**old, **model.data} and tuple(getattr(known.get(name), "shape", shape)) != shape
    ]
    if isinstance(factor, Scan):
        factor = probe_series(factor.child, factor.steps, dict(known), {**limits_of(model), **spaces}, given)
        spaces[factor.child] = factor.space
        return factor
    if isinstance(factor, Deterministic) and hasattr(factor.call.function, "resized") and resized:
        call = dataclasses.replace(factor.call, function=factor.call.function.resized(given))
        factor = dataclasses.replace(factor, call=call)
    if isinstance(factor, Distributed | Deterministic):
        spaces[factor.child], random, _ = probe_node(factor.child, factor.call, dict(known))
        if random != isinstance(factor, Distributed):
            raise SpecError(f"{operation}(data=...): {factor.child} is random for some shapes only. Declare it anew.")
        return with_guards(factor, dict(known), {**limits_of(model), **spaces}, given)
    if isinstance(factor, Energy):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RankWarning)  # said when it was declared
            probe_energy(factor.label, factor.call, dict(known))
        return factor
    try:
        anew = factor.resized(given) if resized and isinstance(factor, Conditional) else None
    except SpecError as error:
        raise _with_what_was_left(operation, error, model, shapes, resized) from error
    if anew is not None:
        spaces.update(anew[1])
        return anew[0]
    for name in resized:
        raise SpecError(
            f"{operation}(data=...): {factor.name} was built for {name} of shape {shapes[name]} and cannot be"
            " built anew. Declare the model with the new data."
        )
    spaces.update({name: old[name] for name in factor.children})
    return factor


def _with_what_was_left(
    operation: str, error: SpecError, model: FactorGraph, shapes: Mapping[str, Any], resized: list[str]
) -> SpecError:
    """The error of a factor at new shapes, after the data that kept the sizes which others had before."""
    sizes = {size for name in resized for size in shapes[name]}
    left = [n for n, shape in shapes.items() if n in model.data and n not in resized and sizes & set(shape)]
    if not left:
        return error
    kept = " and ".join(f"{name} keeps its shape {shapes[name]}" for name in left)
    return SpecError(
        f"{operation}(data=...): {', '.join(resized)} has another size, and {kept}. Give new values of"
        f" {', '.join(left)}, too. ({error})"
    )


def _array(operation: str, model: FactorGraph, name: str, value: Any) -> Any:
    old = model.data[name]
    if value is old:
        return old
    where = f"{operation}(data={{{name!r}: ...}})"
    array = as_numbers(where, value)
    if array.ndim != np.ndim(old):
        raise SpecError(
            f"{where}: shape {array.shape}, but {name} was declared {np.shape(old)}. Keep the number of axes."
        )
    cast = array.astype(old.dtype)
    if not np.array_equal(cast, array):
        raise SpecError(f"{where}: the values are {array.dtype}, but {name} was declared {old.dtype}. Convert them.")
    space = dict(model.bound).get(name)
    if space is not None and not with_shape(space, array.shape).contains(array):
        raise SpecError(f"{where}: a value lies outside the support; {name} was declared {space.title}.")
    return cast
