r"""Inputs in learning: $p(x \mid c)$ is learned from data for x and for c, each datum at its own value of c."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.models.model import Model
from gmdsl.models.probe.indices import check_indices

type Datum = Mapping[str, Any]


def input_names(model: Any) -> tuple[str, ...]:
    """Names of what a model, or a noised family, is given and does not describe."""
    return tuple(name for name, _ in model.inputs)


def at_datum(model: Model, datum: Datum) -> Model:
    """A model at one datum: its inputs have their values, its variables are observed.

    Args:
        model: what is learned.
        datum: one value by name, of the declared shape; they were checked by `gm.fit` and may be traced. Inputs
            without a value stay open.
    """
    given = {name: datum[name] for name in input_names(model) if name in datum}
    return dataclasses.replace(
        model,
        data={**model.data, **given},
        observed={**model.observed, **{name: value for name, value in datum.items() if name not in given}},
        inputs=tuple(pair for pair in model.inputs if pair[0] not in given),
        bound=(*model.bound, *(pair for pair in model.inputs if pair[0] in given)),
    )


def inputs_of(model: Model, data: Datum) -> dict[str, Any]:
    """The inputs among data by name."""
    return {name: data[name] for name in input_names(model)}


def variables_of(model: Model, data: Datum) -> dict[str, Any]:
    """Data by name without the inputs."""
    return {name: value for name, value in data.items() if name not in input_names(model)}


def conditional(model: Model) -> Callable[[Datum], FlatTarget]:
    """The density of the variables of a model as a function of its inputs.

    Returns:
        A function of the inputs of one datum (or the whole datum); the same target each time for a model without any.
    """
    if not model.inputs:
        target = FlatTarget.of(model)
        return lambda datum: target
    return lambda datum: FlatTarget.of(at_datum(model, inputs_of(model, datum)))


def first(data: Datum) -> dict[str, Any]:
    """The first datum of data by name."""
    return {name: values[0] for name, values in data.items()}


def check_labels(operation: str, model: Model, data: Datum) -> None:
    """Refuses labels among the inputs that point outside of an array, by their lowest and their highest values.

    Args:
        operation: what the user called, for messages.
        model: what is learned, or scored.
        data: arrays by name, one row per datum.

    Raises:
        SpecError: an index outside of an array.
    """
    labels = {name: np.asarray(data[name]) for name in input_names(model) if name in data}
    labels = {name: values for name, values in labels.items() if values.dtype.kind in "iu" and len(values)}
    for end in (np.min, np.max) if labels else ():
        bound = at_datum(model, {name: end(values, axis=0) for name, values in labels.items()})
        check_indices(operation, bound, labels)
