"""Interventions (Pearl's do): arrows into variables are cut, and the variables become data."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.models.operators.condition import checked
from gmdsl.models.probe.indices import check_indices


def do[M: FactorGraph](model: M, values: Mapping[str, Any]) -> M:
    """The model in which some variables are set from outside: what defined them is cut, they become data.

    Raises:
        SpecError: an unknown name, a value outside the support, a variable without a definition of its own.
    """
    for name, value in values.items():
        operation = f"do({name}=...)"
        if name not in model.spaces:
            raise unknown_name(operation, name, model.spaces)
        makers = [factor for factor in model.factors if name in factor.children]
        if len(makers) != 1 or len(makers[0].children) != 1:
            why = "no arrow leads to it" if not makers else f"{makers[0].name} defines it together with others"
            raise SpecError(f"{operation}: {why}, so there is nothing to cut. Use .condition({name}=...).")
        if name in model.observed:
            raise SpecError(f"{operation}: {name} is observed already. Intervene first, then condition on the rest.")
        fixed = checked(operation, name, model.spaces[name], value)
        model = dataclasses.replace(
            model,
            factors=tuple(factor for factor in model.factors if factor is not makers[0]),
            declared=tuple(pair for pair in model.declared if pair[0] != name),
            data={**model.data, name: fixed},
            bound=(*model.bound, (name, model.spaces[name])),
            narrowed=tuple(other for other in model.narrowed if other != name),
        )
        check_indices(operation, model, [name])
    return model
