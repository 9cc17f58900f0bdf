"""Checking observed values against the supports of their variables, where no random variable moves the ends."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gmdsl.core.errors import SpecError
from gmdsl.core.jaxprs.dataflow import CONSTANT, output_states
from gmdsl.graph.factor_graph import FactorGraph, known, shapes_of
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.wrapped import innermost
from gmdsl.models.probe.ends import at_end, maker_of, taken_out, with_closed_support, with_ends
from gmdsl.spaces.discrete import Integer, Spin
from gmdsl.spaces.from_constraint import ends_of, is_half_open
from gmdsl.spaces.space import Space

WORDS = {"lower_bound": "from", "upper_bound": "to"}


def check_supports[M: FactorGraph](operation: str, model: M, names: Iterable[str]) -> M:
    """Refuses observed values outside of a support that no random variable moves.

    Args:
        operation: what the user called, for messages.
        model: the model that observes the values.
        names: what is observed.

    Returns:
        The model; where a value lies at an end of a half-open support, or is traced and may, with the density there.

    Raises:
        SpecError: names the variable, the first value outside, and the support.
    """
    for name in dict.fromkeys(names):
        value = model.observed.get(name)
        if isinstance(value, Tracer):
            model = _closed(model, name)
        elif value is not None:
            try:
                with jax.ensure_compile_time_eval():  # in a program that is being traced, too
                    model = _checked(operation, model, name)
            except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError):
                model = _closed(model, name)  # its functions hold traced numbers
    return model


def _closed[M: FactorGraph](model: M, name: str) -> M:
    """A model where the value of a variable, not known yet, may lie at an end of a half-open support."""
    return with_closed_support(model, name) if is_half_open(model.spaces[name]) else model


def _checked[M: FactorGraph](operation: str, model: M, name: str) -> M:
    """One observed value that is known."""
    space = model.spaces[name]
    maker = next((innermost(f) for f in model.factors if name in f.children), None)
    if space.dynamic and isinstance(maker, Distributed):
        return _in_moved_support(operation, model, maker)
    return model if space.dynamic else _in_space(operation, model, name, space)


def with_ends_in_rows[M: FactorGraph](operation: str, model: M, name: str, rows: np.ndarray) -> M:
    """A model of one datum, with the density at the ends of a half-open support where rows of data lie there.

    Args:
        operation: what the user called, for messages.
        model: the model, in which the variable is free.
        name: the variable.
        rows: its values, one per datum; some lie outside of its space.

    Raises:
        SpecError: as `check_supports`.
    """
    space = model.spaces[name]
    for row in np.unique(rows, axis=0):
        if not space.contains(row):
            at_row = dataclasses.replace(model, observed={**model.observed, name: row})
            model = dataclasses.replace(model, factors=check_supports(operation, at_row, [name]).factors)
    return model


def refuse_outside(operation: str, name: str, space: Space, array: np.ndarray) -> None:
    """Refuses a value outside of a space whose bounds do not move.

    Raises:
        SpecError: names the first element outside, and the space.
    """
    if not space.contains(array):
        raise SpecError(
            f"{operation}: {_outside(space, array)} lies outside the support; {name} was declared {space.title}."
            " Check the data or the distribution."
        )


def somewhere(space: Space) -> Any:
    """A value inside a space, to stand in for NaN while the rest is checked."""
    if isinstance(space, Spin | Integer) or space.dynamic:
        return np.ones(space.shape)
    return np.asarray(space.constraint.feasible_like(np.zeros(space.shape)))


def _in_space[M: FactorGraph](operation: str, model: M, name: str, space: Space) -> M:
    """A support that is the same for all values of the parents."""
    value = np.asarray(model.observed[name])
    gaps = np.isnan(value.astype(float))
    value = np.where(gaps, somewhere(space), value) if gaps.any() else value
    value = value.astype(np.int64) if space.discrete else value
    maker = maker_of(model, name)
    if space.contains(value):
        if maker is not None and not space.discrete and (at := np.asarray(at_end(space.constraint, value))).any():
            with_ends(operation, model, name, at, closed=False)
        return model
    if isinstance(space, Spin):
        refuse_outside(operation, name, space, value)
    ok = np.broadcast_to(_by_element(space.constraint.check(value), value.shape), value.shape)
    ends = np.zeros(value.shape, bool) if space.discrete else np.asarray(at_end(space.constraint, value))
    ends = ends & ~ok
    fixed, shapes = known(model), shapes_of(model)
    without = np.zeros(value.shape, bool)
    given = {} if maker is None else {n: fixed[n] for n in maker.parents if n in fixed and n not in model.params}
    if maker is not None and not any(isinstance(v, Tracer) for v in given.values()):
        without = taken_out(maker, {n: shapes[n] for n in maker.parents if n not in given}, given, value.shape)
    if (~ok & ~without & ~ends).any():
        inside = np.asarray(somewhere(space)).astype(value.dtype)
        refuse_outside(operation, name, space, np.where(without | ends, inside, value))
    return with_ends(operation, model, name, ends & ~without) if (ends & ~without).any() else model


def _in_moved_support[M: FactorGraph](operation: str, model: M, factor: Distributed) -> M:
    """A support whose ends are data, other observed values, or computed of both."""
    shapes, fixed, value = shapes_of(model), known(model), model.observed[factor.child]
    given = {name: fixed[name] for name in factor.parents if name in fixed and name not in model.params}
    moving = [name for name in factor.parents if name not in given]
    if any(isinstance(v, Tracer) for v in given.values()):
        return model

    def support(*parents: Any) -> Any:
        return factor.distribution({**given, **dict(zip(moving, parents, strict=True))}).support

    def inside(*parents: Any) -> Any:
        return support(*parents)(jnp.asarray(value))

    arrays = [shapes[name] for name in moving]
    if moving and output_states(inside, arrays, ["moving"] * len(moving), lambda *_: "moving") is not CONSTANT:
        return model
    # The support is the same at all values of what moves; traced, as zero is no value of every parameter.
    anywhere = [jnp.zeros(shape.shape, shape.dtype) for shape in arrays]
    ok = np.asarray(jax.jit(inside)(*anywhere))
    ok = ok | np.isnan(np.asarray(value, float)).reshape(*ok.shape, -1).any(-1)
    if ok.all():
        return model
    shape = np.shape(value)
    ends = np.zeros(shape, bool)
    if ok.shape == shape and not model.spaces[factor.child].discrete and factor.child not in model.narrowed:
        ends = np.asarray(jax.jit(lambda *p: at_end(support(*p), jnp.asarray(value)))(*anywhere)) & ~ok
    without = taken_out(factor, dict(zip(moving, arrays, strict=True)), given, shape)
    wrong = ~ok & ~without.reshape(*ok.shape, -1).all(-1) & ~ends.reshape(*ok.shape, -1).all(-1)
    if wrong.any():
        limits = jax.jit(lambda *parents: ends_of(support(*parents)))(*anywhere)
        raise SpecError(f"{operation}: {_describe(factor, np.asarray(value), ~wrong, limits, list(given))}")
    ends = ends & ~without
    return with_ends(operation, model, factor.child, ends) if ends.any() else model


def _by_element(ok: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Answers of a constraint, one for each event, along the axes of a value."""
    ok = np.asarray(ok)
    return ok.reshape((*ok.shape, *(1,) * (len(shape) - ok.ndim)))


def _outside(space: Space, array: np.ndarray) -> str:
    try:
        ok = np.asarray(space.constraint.check(array))
    except SpecError:
        ok = np.abs(array) == 1
    if ok.shape != array.shape:
        return "the value"
    where = tuple(int(i) for i in np.argwhere(~ok)[0])
    return f"{array[where]}" + (f" at {where}" if where else "")


def _describe(factor: Distributed, value: np.ndarray, ok: np.ndarray, ends: dict[str, Any], given: list[str]) -> str:
    place = tuple(int(i) for i in np.argwhere(~ok)[0])
    shown = f"{value[place]}" + (f" at {place}" if place else "")
    limits = [f"{WORDS[side]} {np.broadcast_to(np.asarray(end), ok.shape)[place]:.6g}" for side, end in ends.items()]
    told = f", which goes {' '.join(limits)} there" if limits else ""
    return (
        f"{shown} lies outside the support of {factor.child}{told}, given by {', '.join(given)}."
        " Check the data or the distribution."
    )
