"""Checking observed values against a support whose ends are known: constants and data, not random variables."""

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
from gmdsl.spaces.from_constraint import ends_of

WORDS = {"lower_bound": "from", "upper_bound": "to"}


def check_supports(operation: str, model: FactorGraph, names: Iterable[str]) -> None:
    """Refuses observed values outside of a support that no random variable moves.

    A support that is the same for all values of the parents was checked with the space. Here are those whose ends are
    data, other observed values, or computed of both.

    Args:
        operation: what the user called, for messages.
        model: the model that observes the values.
        names: what is observed.

    Raises:
        SpecError: names the variable, the first value outside, and the support.
    """
    wanted = {name for name in names if name in model.observed and model.spaces[name].dynamic}
    for factor in model.factors:
        if isinstance(factor, Distributed) and factor.child in wanted:
            _check(operation, model, factor)


def _check(operation: str, model: FactorGraph, factor: Distributed) -> None:
    shapes, fixed, value = shapes_of(model), known(model), model.observed[factor.child]
    given = {name: fixed[name] for name in factor.parents if name in fixed and name not in model.params}
    moving = [name for name in factor.parents if name not in given]
    if any(isinstance(v, Tracer) for v in (value, *given.values())):
        return

    def support(*parents: Any) -> Any:
        return factor.distribution({**given, **dict(zip(moving, parents, strict=True))}).support

    def inside(*parents: Any) -> Any:
        return support(*parents)(jnp.asarray(value))

    arrays = [shapes[name] for name in moving]
    if moving and output_states(inside, arrays, ["moving"] * len(moving), lambda *_: "moving") is not CONSTANT:
        return
    # The support is the same at all values of what moves; traced, as zero is no value of every parameter.
    anywhere = [jnp.zeros(shape.shape, shape.dtype) for shape in arrays]
    ok = np.asarray(jax.jit(inside)(*anywhere))
    ok = ok | np.isnan(np.asarray(value, float)).reshape(*ok.shape, -1).any(-1)
    if not ok.all():
        ends = jax.jit(lambda *parents: ends_of(support(*parents)))(*anywhere)
        raise SpecError(f"{operation}: {_describe(factor, np.asarray(value), ok, ends, list(given))}")


def _describe(factor: Distributed, value: np.ndarray, ok: np.ndarray, ends: dict[str, Any], given: list[str]) -> str:
    place = tuple(int(i) for i in np.argwhere(~ok)[0])
    shown = f"{value[place]}" + (f" at {place}" if place else "")
    limits = [f"{WORDS[side]} {np.broadcast_to(np.asarray(end), ok.shape)[place]:.6g}" for side, end in ends.items()]
    told = f", which goes {' '.join(limits)} there" if limits else ""
    return (
        f"{shown} lies outside the support of {factor.child}{told}, given by {', '.join(given)}."
        " Check the data or the distribution."
    )
