r"""Conditioning: some variables are observed, some inputs are bound.

$p(\theta \mid y) \propto p(\theta, y)$: the observed value takes the place of the variable in every
factor; nothing is divided out.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jax.core import Tracer

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.user_arrays import as_numbers
from gmdsl.exact.gaps import missing_factor
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.order import ancestors
from gmdsl.models.operators.missing import check_gaps, with_gaps
from gmdsl.models.probe.indices import check_indices
from gmdsl.models.probe.supports import check_supports, refuse_outside, somewhere
from gmdsl.spaces.space import Real, Space, dtype_of


def condition[M: FactorGraph](model: M, values: Mapping[str, Any], missing: Any = None) -> M:
    """The model with `values` observed; see `Model.condition`."""
    gaps = _integrates(missing)
    spaces, inputs = model.spaces, dict(model.inputs)
    observed, data, bound = dict(model.observed), dict(model.data), dict(model.bound)
    computed = frozenset(model.deterministic)
    for name, value in values.items():
        operation = f"condition({name}=...)"
        _refuse(model, name, operation, computed)
        if name in inputs:
            bound[name] = inputs.pop(name)
            data[name] = checked(operation, name, bound[name], value)
        elif gaps:
            operation = f"condition({name}=..., missing={missing!r})"
            model = with_gaps(operation, model, name)
            observed[name] = checked_observation(operation, model, name, value)
        else:
            observed[name] = checked(operation, name, spaces[name], value, ends_later=True)
    model = dataclasses.replace(
        model, observed=observed, data=data, inputs=tuple(inputs.items()), bound=tuple(bound.items())
    )
    operation = f"condition({', '.join(f'{name}=...' for name in values)})"
    check_indices(operation, model, values)
    return check_supports(operation, model, values)


def checked_observation(operation: str, model: FactorGraph, name: str, value: Any) -> Any:
    """A value for an observed variable; NaN where the model integrates gaps out. `check_supports` follows.

    Raises:
        SpecError: another shape, kind of number or support, or gaps that the model does not integrate out.
    """
    factor = missing_factor(model, name)
    space = model.spaces[name]
    if factor is None or isinstance(value, Tracer):
        return checked(operation, name, space, value, ends_later=True)
    array = as_numbers(operation, value, nan=True).astype(float)
    _same_shape(operation, name, space, array.shape)
    check_gaps(operation, name, factor, array)
    gaps = np.isnan(array)
    checked(operation, name, space, np.where(gaps, somewhere(space), array), ends_later=True)
    if space.discrete and np.abs(array[~gaps]).max(initial=0) > 2 ** np.finfo(dtype_of(Real())).nmant:
        raise SpecError(
            f"{operation}: beside NaN {name} is held in floats, which round {np.nanmax(np.abs(array)):.0f}. Enable x64."
        )
    return array


def checked(operation: str, name: str, space: Space, value: Any, *, ends_later: bool = False) -> Any:
    """A value of exactly the declared shape, kind of number and support, as a private copy.

    Args:
        operation: what the user called, for messages.
        name: of the variable.
        space: where it was declared.
        value: what was given.
        ends_later: whether `check_supports` follows, which knows the density at the ends of a support.

    Raises:
        SpecError: otherwise.
    """
    if isinstance(value, Tracer):
        _same_shape(operation, name, space, value.shape)
        return value
    array = as_numbers(operation, value, fix=_GAPS if operation.startswith("condition") else None)
    _same_shape(operation, name, space, array.shape)
    if space.discrete:
        whole = array.astype(np.int64)
        if not np.array_equal(whole, array):
            raise SpecError(
                f"{operation}: the values are not whole numbers, but {name} was declared {space.title}. Round them."
            )
        array = whole
    else:
        array = array.astype(np.float64) if array.dtype.kind in "biu" else array
    if not ends_later:
        refuse_outside(operation, name, space, array)
    return array


def _integrates(missing: Any) -> bool:
    """Whether NaN marks what is to be integrated out."""
    if missing is None:
        return False
    if not isinstance(missing, str) or missing not in ("marginalise", "marginalize"):
        shown = repr(missing) if isinstance(missing, str) else type(missing).__name__
        raise SpecError(
            f'condition(missing=...): {shown} was given, and the one choice is missing="marginalise". A variable of'
            ' that name goes through a dict, .condition({"missing": ...}).'
        )
    return True


def _same_shape(operation: str, name: str, space: Space, shape: tuple[int, ...]) -> None:
    if shape != space.shape:
        raise SpecError(
            f"{operation}: shape {shape}, but {name} was declared {space.shape}. Pass an array of shape {space.shape}."
        )


def _refuse(model: FactorGraph, name: str, operation: str, computed: frozenset[str]) -> None:
    if name in computed:
        above = sorted(set(model.random) & ancestors(model.factors, name))
        raise SpecError(
            f"{operation}: {name} is computed from {', '.join(above)}, it has no density of its own."
            f" Condition on {above[0] if above else 'a random variable'}, or give {name} a distribution."
        )
    if name in model.data:
        raise SpecError(f"{operation}: {name} is data. New values of data go through gm.compile(model).with_data(...).")
    if name in dict(model.constants):
        raise SpecError(f"{operation}: {name} is the constant {dict(model.constants)[name]}. Declare the model anew.")
    if name in model.params:
        raise SpecError(f"{operation}: {name} is a parameter, not a random variable. Give it a prior to observe it.")
    if name in model.observed:
        raise SpecError(f"{operation}: {name} is already observed. Condition the model from before, or use with_data.")
    if name not in model.spaces and name not in dict(model.inputs):
        raise unknown_name(operation, name, [*model.random, *dict(model.inputs)])


_GAPS = (
    'Integrate what is missing out, .condition(..., missing="marginalise"), where a distribution of its own draws the'
    " variable; in an energy, declare the missing part as a variable of its own. Or remove it."
)
