"""Renaming variables; the functions behind them keep their argument names."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.names import check_name


def rename[M: FactorGraph](model: M, names: Mapping[str, str]) -> M:
    """The model with every `old` of `names` called `new`; see `Model.rename`."""
    labels = [label for _, axes in model.dims for label in axes]
    existing = [*model.spaces, *model.data, *model.params, *dict(model.inputs), *dict(model.constants)]
    for old, new in names.items():
        if old not in existing:
            raise unknown_name(f"rename({old}=...)", old, existing, "names")
        check_name(new)
        if (new in existing and new not in names) or new in labels:
            raise SpecError(f"rename({old}={new!r}): there is a {new!r} already. Choose a name that is free.")
    if len(set(names.values())) < len(names):
        raise SpecError(f"rename(...): two names become one, {sorted(names.values())}. Keep them apart.")

    def pairs(items: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
        return tuple((names.get(name, name), value) for name, value in items)

    def keys(items: dict[str, Any]) -> dict[str, Any]:
        return dict(pairs(tuple(items.items())))

    return dataclasses.replace(
        model,
        factors=tuple(factor.rename(names) for factor in model.factors),
        declared=pairs(model.declared),
        data=keys(model.data),
        params=keys(model.params),
        observed=keys(model.observed),
        inputs=pairs(model.inputs),
        bound=pairs(model.bound),
        constants=pairs(model.constants),
        narrowed=tuple(names.get(name, name) for name in model.narrowed),
        dims=pairs(model.dims),
    )
