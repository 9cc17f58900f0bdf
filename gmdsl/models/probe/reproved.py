"""Proving again that parameters stay in their domain, at data that reach further than those of the declaration."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from gmdsl.core.jaxprs.intervals import of_array
from gmdsl.graph.factor import Factor
from gmdsl.graph.factor_graph import Abstract, FactorGraph, shapes_of
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.time_series import Scan
from gmdsl.graph.factors.wrapped import innermost, with_innermost
from gmdsl.models.probe.domains import unproved
from gmdsl.models.probe.time_series import probe_series
from gmdsl.spaces.space import Space


def reproved[M: FactorGraph](model: M, names: Iterable[str], before: Mapping[str, Any]) -> M:
    """A model with other data, its parameters guarded where these data may put them outside of their constraint.

    Args:
        model: the model with the new data.
        names: of what is new.
        before: the data until now.
    """
    wider = {name for name in names if name in model.data and _is_wider(model.data[name], before[name])}
    if not wider:
        return model
    known, factors = shapes_of(model), []
    for factor in model.factors:
        inner = innermost(factor)
        if wider & set(inner.parents) and isinstance(inner, Distributed | Scan):
            factor = with_innermost(factor, with_guards(inner, known, limits_of(model), model.data))
        factors.append(factor)
    return dataclasses.replace(model, factors=tuple(factors))


def with_guards(factor: Factor, known: Abstract, spaces: Mapping[str, Space], data: Mapping[str, Any]) -> Factor:
    """A factor with guards of every parameter that is not proved to stay in its domain at some data.

    Args:
        factor: of a random node; others stay as they are.
        known: shapes of what it reads, and numbers.
        spaces: of the variables, parameters and inputs.
        data: arrays.
    """
    if isinstance(factor, Scan):
        return probe_series(factor.child, factor.steps, dict(known), spaces, data)
    if not isinstance(factor, Distributed):
        return factor
    guarded = tuple(dict.fromkeys((*factor.guarded, *unproved(factor.call, known, spaces, data))))
    return factor if guarded == factor.guarded else dataclasses.replace(factor, guarded=guarded)


def limits_of(model: FactorGraph) -> dict[str, Space]:
    """The spaces of the variables, parameters and inputs of a model."""
    return {**model.spaces, **{name: param.space for name, param in model.params.items()}, **dict(model.inputs)}


def _is_wider(new: Any, old: Any) -> bool:
    here, there = of_array(new), of_array(old)
    return here.low < there.low or here.high > there.high
