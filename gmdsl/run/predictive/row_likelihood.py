r"""Rows scored by a model without draws, $\log p_\theta(y_i \mid x_i)$: held-out data under a model that was fitted.

Every variable of the model has a value in every row, and so has every input. Of discrete energies the normalising
constant is summed exactly, at the inputs of each row.

Reference:
    Gneiting and Raftery, *Strictly proper scoring rules, prediction, and estimation*, JASA, 2007, section 4.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.runtime.precision import full_precision
from gmdsl.core.user_arrays import as_numbers
from gmdsl.exact.discrete_sums import log_sum
from gmdsl.learning.inputs import at_datum, check_labels, input_names, inputs_of, variables_of
from gmdsl.models.model import Model
from gmdsl.models.operators.childless import essential
from gmdsl.models.probe.supports import with_ends_in_rows
from gmdsl.spaces.space import dtype_of

AT_ONCE = 1024  # rows side by side


def row_log_likelihood(model: Model, data: Mapping[str, Any]) -> Any:
    """The log-density of each row (see `gm.log_likelihood`).

    Args:
        model: parameters are constants at their values.
        data: a value for each free variable and each input, or one per row; what has one value has it in all rows.

    Returns:
        An array, one number per row; one number where no value has rows.

    Raises:
        SpecError: unknown or missing names, other shapes, values outside of a space, or a density whose normalising
            constant is not known.
    """
    model, rows, count = _rows(model, data)
    _check_density(model)
    if count == 0:
        return np.zeros(0)
    check_labels("log_likelihood(model, rows)", model, rows)
    found = np.asarray(_scores(model, repr(model.constants), not model.capabilities().normalized, rows))
    return found if count is not None else found[0]


@eqx.filter_jit
@full_precision
def _scores(model: Model, types: str, summed: bool, rows: Mapping[str, Array]) -> Float[Array, " rows"]:
    """The density of each row; the types of the constants are an argument because equality does not see them."""
    del types

    def score(row: Mapping[str, Array]) -> Float[Array, ""]:
        given = inputs_of(model, row)
        found = FlatTarget.of(at_datum(model, given)).log_density_at(variables_of(model, row))
        return found - log_sum(at_datum(essential(model), given)) if summed else found

    return jax.lax.map(score, dict(rows), batch_size=AT_ONCE)


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
        array = as_numbers(where, data[name])
        if array.shape not in (space.shape, (*array.shape[:1], *space.shape)):
            raise SpecError(
                f"{where}: shape {array.shape}, but one datum was declared {space.shape}. Pass that, or one row per"
                f" datum, shape (n, {', '.join(map(str, space.shape))})."
            )
        if not space.contains(array) and name in model.free:
            flat = array.reshape(-1, *space.shape)
            model = with_ends_in_rows(f"log_likelihood(model, {{{name!r}: ...}})", model, name, flat)
        elif not space.contains(array):
            raise SpecError(f"{where}: a value lies outside {space.title}. Check the data.")
        arrays[name] = jnp.asarray(array, dtype_of(space))
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


def _check_density(model: Model) -> None:
    """Refuses densities whose normalising constant is neither one nor a sum over states."""
    offer = model.capabilities()
    if offer.normalized or all(model.spaces[name].discrete for name in model.free):
        return
    raise SpecError(
        f"log_likelihood(model, rows): {offer.reasons['normalized']}. Estimate the constant at each input by"
        " gm.log_normalizer(model.condition(...)) or gm.log_z, and subtract it from gm.compile(model).log_density."
    )
