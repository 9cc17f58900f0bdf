r"""Products of densities, $p(x, \ldots)\, q(x, \ldots)$, with shared names unified.

The product of two joints is a joint when no variable is the child of both and the union has no
cycle (a prior times a likelihood); else it is an undirected product (a product of experts).
"""

import dataclasses
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fingerprint import fingerprint
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.models.operators.missing import check_readers
from gmdsl.spaces.inclusion import smaller
from gmdsl.spaces.space import Real, Space


def product[M: FactorGraph](first: M, second: M) -> M:
    """The product of two models.

    Raises:
        SpecError: a shared variable with supports that are not nested, or shared data, parameters or
            observed values that differ.
    """
    spaces, narrowed = _unify_spaces(first, second)
    data = _merge("data", first.data, second.data)
    params = _merge("parameter", first.params, second.params)
    constants = _merge("constant", dict(first.constants), dict(second.constants))
    _one_role(first, second)
    factors = first.factors + tuple(f for f in second.factors if not _already(f, first.factors))
    observed = _merge("observed value", first.observed, second.observed)
    for name, value in observed.items():
        if name in narrowed and not spaces[name].contains(np.asarray(value)):
            raise SpecError(f"product: the observed {name} lies outside {spaces[name].title}. Mend one.")
    bound = {*spaces, *data, *params, *constants}
    inputs = _unify_inputs(dict(first.inputs), dict(second.inputs))
    computed = {*first.deterministic, *second.deterministic}
    for name, space in inputs.items():
        source = params[name].space if name in params else spaces.get(name)
        _check_bound(name, space, source, data.get(name, constants.get(name)), name in computed)
    found = dataclasses.replace(
        first,
        factors=factors,
        declared=tuple(spaces.items()),
        data=data,
        params=params,
        observed=observed,
        inputs=tuple((name, space) for name, space in inputs.items() if name not in bound),
        constants=tuple(constants.items()),
        bound=tuple({**dict(first.bound), **dict(second.bound)}.items()),
        narrowed=tuple(dict.fromkeys((*first.narrowed, *second.narrowed, *narrowed))),
        dims=tuple(_merge("dims", dict(first.dims), dict(second.dims)).items()),
        coords=tuple(_merge("coords", dict(first.coords), dict(second.coords)).items()),
    )
    check_readers("product", found)
    return found


def _unify_spaces(first: Any, second: Any) -> tuple[dict[str, Space], list[str]]:
    spaces, narrowed = dict(first.declared), []
    computed = {*first.deterministic, *second.deterministic}
    sides = [(dict(m.declared), {c for f in m.factors for c in f.children}) for m in (first, second)]
    for name, space in second.declared:
        if name not in spaces:
            spaces[name] = space
            continue
        inner = smaller(spaces[name], space)
        if name in computed and not (isinstance(space, Real) and isinstance(spaces[name], Real)):
            raise SpecError(f"product: {name} is computed, so no space can restrict it. Declare it Real.")
        if inner is None:
            raise SpecError(
                f"product: {name} lives in {spaces[name].title} on the left and in {space.title} on the right,"
                f" and neither lies in the other. Declare one space, or .rename({name}=...) on one side."
            )
        spaces[name] = inner
        narrowed += [name for declared, made in sides if name in made and declared[name] != inner]
    return spaces, narrowed


def _merge(what: str, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    for name in first.keys() & second.keys():
        if not _same(first[name], second[name]):
            raise SpecError(
                f"product: the {what} {name!r} differs between the two sides."
                f" Give both the same, or .rename({name}=...) on one side."
            )
    return {**first, **second}


def _same(first: FactorGraph, second: FactorGraph) -> bool:
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        pair = np.asarray(first), np.asarray(second)
        return np.array_equal(*pair, equal_nan=all(array.dtype.kind == "f" for array in pair))
    return fingerprint(first, []) == fingerprint(second, [])


def _one_role(first: FactorGraph, second: FactorGraph) -> None:
    kinds = [{**dict.fromkeys(m.data, "data"), **dict.fromkeys(m.params, "parameter"),
              **{n: "constant" for n, _ in m.constants}} for m in (first, second)]  # fmt: skip
    for name in kinds[0].keys() & kinds[1].keys():
        if kinds[0][name] != kinds[1][name]:
            raise SpecError(
                f"product: {name} is a {kinds[0][name]} on one side and a {kinds[1][name]} on the other."
                f" .rename({name}=...) one of them."
            )
    for one, other in ((first, second), (second, first)):
        for name in set(one.deterministic) & other.observed.keys():
            raise SpecError(f"product: {name} is computed on one side, observed on the other. .rename({name}=...) one.")
        fixed = {**one.data, **one.params, **dict(one.constants)}
        for name in fixed.keys() & dict(other.declared).keys():
            raise SpecError(
                f"product: {name} is a constant on one side and a variable on the other. .rename({name}=...) one."
            )
    for one, other in ((first, second), (second, first)):
        drawn = {c for f in other.factors if isinstance(f, Conditional) for c in f.children}
        for name in set(one.deterministic) & drawn:
            raise SpecError(
                f"product: {name} is computed on one side and random on the other. .rename({name}=...) one of them."
            )


def _already(factor: Any, factors: tuple[Any, ...]) -> bool:
    """Whether a deterministic is there already; two different ones of one name are an error."""
    if not isinstance(factor, Deterministic):
        return False
    for other in factors:
        if isinstance(other, Deterministic) and other.child == factor.child:
            if fingerprint(other, []) != fingerprint(factor, []):
                raise SpecError(
                    f"product: {factor.child} is computed in two ways. .rename({factor.child}=...) one of them."
                )
            return True
    return False


def _unify_inputs(first: dict[str, Space], second: dict[str, Space]) -> dict[str, Space]:
    inputs = {**first, **second}
    for name in first.keys() & second.keys():
        inner = smaller(first[name], second[name])
        if inner is None:
            raise SpecError(
                f"product: the input {name} was declared {first[name].title} on the left and"
                f" {second[name].title} on the right. Declare one space."
            )
        inputs[name] = inner
    return inputs


def _check_bound(name: str, wanted: Space, space: Space | None, value: Any, computed: bool) -> None:
    """What binds an input must lie in the space that the input was declared with."""
    fits = space is None or (space.shape == wanted.shape if computed else smaller(space, wanted) == space)
    if space is not None and not fits:
        raise SpecError(
            f"product: the input {name} was declared {wanted.title}, but the other side gives it {space.title}."
            " Declare the input with that space."
        )
    if value is not None and (np.shape(value) != wanted.shape or not wanted.contains(np.asarray(value))):
        raise SpecError(
            f"product: the input {name} was declared {wanted.title}, but the other side gives it a value of shape"
            f" {np.shape(value)} that does not lie there. Mend the value or the declaration."
        )
