"""Checking numbers that are data where they are indices: labels from one, and labels of groups that are not there."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gmdsl.core.errors import SpecError
from gmdsl.graph.factor import Factor
from gmdsl.graph.factor_graph import FactorGraph, shapes_of
from gmdsl.models.probe.traces import program_of
from gmdsl.spaces.discrete import Integer
from gmdsl.spaces.elementwise import Positive
from gmdsl.spaces.space import Real, dtype_of
from gmdsl.spaces.unnamed import IntegerSupport

if TYPE_CHECKING:
    from gmdsl.core.jaxprs.lookups import Lookup
    from gmdsl.core.jaxprs.tape import Tape


def check_indices(operation: str, model: FactorGraph, names: Iterable[str]) -> None:
    """Refuses numbers among data and observed values that point outside of the axis they are an index of.

    Args:
        operation: what the user called, for messages.
        model: the model that holds the integers.
        names: those that are new.

    Raises:
        SpecError: names the node, the integers, the index and the size of the axis.
    """
    given = {**model.data, **model.observed}
    integers = {name: value for name, value in given.items() if _is_index(value)}
    fresh = set(names) & integers.keys()
    if not fresh:
        return
    shapes = shapes_of(model)
    for factor in model.factors:
        if fresh & set(factor.parents):
            known = {name: jnp.asarray(integers[name]) for name in factor.parents if name in integers}
            for lookup in _lookups(program_of(factor, shapes), known):
                if not lookup.fits and fresh & set(lookup.names):
                    raise SpecError(f"{operation}: {_describe(factor, lookup)}")


def check_labels(operation: str, model: FactorGraph) -> None:
    """Refuses variables with finitely many values that point outside of the axis they are an index of.

    Args:
        operation: what the user called, for messages.
        model: a model; its free variables are tried at their lowest and at their highest values.

    Raises:
        SpecError: names the node, the variable, the index and the size of the axis.
    """
    finite = {name: model.spaces[name] for name in model.free if model.spaces[name].cardinality is not None}
    if not finite:
        return
    shapes = shapes_of(model)
    integers = {name: value for name, value in {**model.data, **model.observed}.items() if _is_index(value)}
    settled = _Settled()
    for factor in model.factors:
        labels = {name: finite[name] for name in (*factor.parents, *factor.children) if name in finite}
        if not labels:
            continue
        tape = program_of(factor, shapes)
        own = {name: name for name in factor.parents if name in integers}
        if settled(tape, {**own, **labels}):
            continue
        for number in (-1, 0):
            known = {name: jnp.asarray(integers[name]) for name in own}
            known |= {name: _filled(space, number) for name, space in labels.items()}
            found = [lookup for lookup in _lookups(tape, known) if set(labels) & set(lookup.names)]
            for lookup in found:
                if not lookup.fits:
                    raise SpecError(f"{operation}: {_describe_label(factor, lookup)}")
            if not found:
                break  # no label is an index here


def check_fixed_indices(operation: str, model: FactorGraph) -> None:
    """Refuses indices that functions hold themselves, as arrays that they close over, outside of an axis.

    Args:
        operation: what the user called, for messages.
        model: a model that is being declared.

    Raises:
        SpecError: names the node, the index and the size of the axis.
    """
    shapes, settled = shapes_of(model), _Settled()
    for factor in model.factors:
        read = [shapes[name] for name in (*factor.parents, *factor.children) if name in shapes]
        if any(getattr(shape, "ndim", 0) for shape in read):
            tape = program_of(factor, shapes)
            for lookup in () if settled(tape, {}) else _lookups(tape, {}):
                if not lookup.fits:
                    raise SpecError(f"{operation}: {_describe(factor, lookup)}")


def check_unbounded(operation: str, model: FactorGraph) -> None:
    """Refuses free variables without an end, counts or real numbers, that are an index as they are.

    Args:
        operation: what the user called, for messages.
        model: a model whose free variables stay free.

    Raises:
        SpecError: names the node, the variable, the size of the axis and the fix.
    """
    from gmdsl.core.jaxprs.unbounded import unbounded_in

    endless = {name for name in model.free if _is_endless(model.spaces[name])}
    shapes, settled = shapes_of(model), _Settled()
    for factor in model.factors:
        names = [name for name in (*factor.parents, *factor.children) if name in endless]
        tape = program_of(factor, shapes) if names else None
        for name, size in () if tape is None or settled(tape, dict.fromkeys(names)) else unbounded_in(tape, names):
            where = factor.children[0] if len(factor.children) == 1 else factor.name
            raise SpecError(
                f"{operation}: {name} has no end, and is an index in {where}, where the elements are 0 to {size - 1};"
                f" JAX would take the nearest one for all others. Say so, jnp.clip(..., 0, {size - 1}), or give"
                f" {name} as many values as there are elements."
            )


def _is_endless(space: Any) -> bool:
    """Whether a space has elements beyond any number, one by one."""
    kinds = (Integer, IntegerSupport) if space.discrete else (Real, Positive)
    return isinstance(space, kinds) and not space.dynamic and space.cardinality is None


def _filled(space: Any, number: int) -> Any:
    """An array of the lowest value of a space, or of the highest."""
    value = space.first + space.gap * (number % space.cardinality)
    return jnp.full(space.shape, value, dtype_of(space))


def _lookups(tape: "Tape", known: Mapping[str, Any]) -> "list[Lookup]":
    from gmdsl.core.jaxprs.lookups import lookups_of

    return lookups_of(tape, {name: value for name, value in known.items() if name in tape.inputs})


class _Settled:
    """Programs that were looked at already, whatever their variables are called: a thousand names have few."""

    def __init__(self) -> None:
        self.seen: dict[Any, Any] = {}  # kept, as parts of their keys are identities

    def __call__(self, tape: "Tape", known: Mapping[str, Any]) -> bool:
        """Whether a program was asked about with the same in the places of some variables; from now on it was."""
        places = frozenset((tape.inputs[name], value) for name, value in known.items() if name in tape.inputs)
        key = (id(tape.steps), places)
        found = key in self.seen
        self.seen[key] = tape
        return found


def _describe(factor: Factor, lookup: "Lookup") -> str:
    listed, most = " and ".join(lookup.names) or "an array that the function holds", lookup.size - 1
    where = factor.children[0] if len(factor.children) == 1 else factor.name
    if lookup.low < 0 and not lookup.names:
        return f"{listed} gives an index in {where} that lies before the first of {lookup.size} elements."
    if lookup.low < 0:
        return (
            f"{listed} gives the index {lookup.low} in {where}, which counts from the end. The elements are 0 to"
            f" {most}; -1 is often how a table writes a missing label. Leave those rows out, give them a group, or,"
            " where they are masked afterwards, look them up by jnp.maximum(..., 0)."
        )
    hint = " Are the labels counted from 1? Subtract 1." if lookup.low == 1 and lookup.high == lookup.size else ""
    fix = hint or (
        " Declare as many elements as there are labels, or number the labels from 0 without gaps; where the nearest"
        f' element is meant, jnp.clip(..., 0, {most}) says so (.get(mode="clip") leaves no trace in the program).'
    )
    return f"{listed} gives the index {lookup.high} in {where}, where the elements are 0 to {most}.{fix}"


def _describe_label(factor: Factor, lookup: "Lookup") -> str:
    listed, most = " and ".join(lookup.names), lookup.size - 1
    where = factor.children[0] if len(factor.children) == 1 else factor.name
    index, end = (lookup.low, "count from the end") if lookup.low < 0 else (lookup.high, "take the last one again")
    return (
        f"{listed} can give the index {index} in {where}, where the elements are 0 to {most}; JAX would {end}."
        " Give the label as many values as there are elements, counted from 0, or, where it is masked afterwards,"
        f" look it up by jnp.clip(..., 0, {most})."
    )


def _is_index(value: Any) -> bool:
    """Whether indices may be computed of an array: labels of a table with gaps are floats, bins are made of floats."""
    return not isinstance(value, Tracer) and np.asarray(value).dtype.kind in "iuf" and np.size(value) > 0
