r"""Rows scored by a model without draws, $\log p_\theta(y_i \mid x_i)$: held-out data under a model that was fitted.

Every input has a value in every row; what is missing of the variables, NaN, is integrated out. The constant of energies
that are discrete or quadratic is exact, at the inputs of each row (`gmdsl.run.predictive.row_scores`).

Reference:
    Gneiting and Raftery, *Strictly proper scoring rules, prediction, and estimation*, JASA, 2007, section 4.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.user_arrays import as_numbers
from gmdsl.learning.inputs import check_labels, input_names
from gmdsl.models.model import Model
from gmdsl.models.probe.supports import somewhere, with_ends_in_rows
from gmdsl.run.predictive.row_scores import scored
from gmdsl.spaces.space import dtype_of

OPERATION = "log_likelihood(model, rows)"


def row_log_likelihood(model: Model, data: Mapping[str, Any]) -> Any:
    """The log-density of each row (see `gm.log_likelihood`).

    Args:
        model: parameters are constants at their values.
        data: a value for each free variable and each input, or one per row; what has one value has it in all rows. NaN
            where a variable is missing, in part or as a whole.

    Returns:
        An array, one number per row; one number where no value has rows.

    Raises:
        SpecError: unknown or missing names, other shapes, values outside of a space, or a density whose normalising
            constant is not known; gaps that no rule integrates out.
    """
    model, rows, count = _rows(model, data)
    if count == 0:
        return np.zeros(0)
    check_labels(OPERATION, model, rows)
    found = scored(model, rows, OPERATION)
    return found if count is not None else found[0]


def _rows(model: Model, data: Mapping[str, Any]) -> tuple[Model, dict[str, Array], int | None]:
    """Checked rows of all variables and inputs, and how many there are; None where no value has rows.

    The model comes first, with the density at the ends of half-open supports where rows lie there.
    """
    spaces = {**{name: model.spaces[name] for name in model.free}, **dict(model.inputs)}
    for name in data:
        if name not in spaces:
            raise unknown_name(f"log_likelihood(model, {{{name!r}: ...}})", name, spaces, "free variables and inputs")
    _check_names(model, data)
    arrays, lengths = {}, {}
    for name, space in spaces.items():
        where = f"log_likelihood(model, {{{name!r}: ...}})"
        array = as_numbers(where, data[name], nan=name in model.free)
        if array.shape not in (space.shape, (*array.shape[:1], *space.shape)):
            raise SpecError(
                f"{where}: shape {array.shape}, but one datum was declared {space.shape}. Pass that, or one row per"
                f" datum, shape (n, {', '.join(map(str, space.shape))})."
            )
        gaps = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
        whole = np.where(gaps, somewhere(space), array) if gaps.any() else array
        if not space.contains(whole) and name in model.free:
            flat = whole.reshape(-1, *space.shape)
            model = with_ends_in_rows(f"log_likelihood(model, {{{name!r}: ...}})", model, name, flat)
        elif not space.contains(whole):
            raise SpecError(f"{where}: a value lies outside {space.title}. Check the data.")
        arrays[name] = jnp.asarray(array, float if gaps.any() else dtype_of(space))
        if array.ndim > len(space.shape):
            lengths[name] = len(array)
    if len(set(lengths.values())) > 1:
        raise SpecError(f"log_likelihood(model, rows): the lengths differ, {lengths}. Give each one row per datum.")
    count = next(iter(lengths.values()), None)
    size = 1 if count is None else count
    return model, {n: jnp.broadcast_to(array, (size, *spaces[n].shape)) for n, array in arrays.items()}, count


def _check_names(model: Model, data: Mapping[str, Any]) -> None:
    """Refuses inputs and variables without a value."""
    for name in input_names(model):
        if name not in data:
            raise SpecError(
                f"log_likelihood(model, rows): the density depends on the input {name}, which has no value. Give one"
                f" per datum, {{..., {name!r}: values}}, or bind it, model.condition({name}=...)."
            )
    for name in model.free:
        if name not in data:
            raise SpecError(
                f"log_likelihood(model, rows): {name} is free and has no value in the rows. Give it one, integrate it"
                f" out, .marginalize({name!r}), estimate by gm.log_marginal, or pass the tree of a run in place of"
                " rows, gm.log_likelihood(model.condition(...), tree)."
            )
