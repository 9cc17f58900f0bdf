r"""How rows are scored: $\log p(y_{obs} \mid x)$, with what is missing integrated out and the constant of energies.

A model is scored as it stands, with gaps left out inside of its conditionals; or as the Gaussian that it is, where gaps
are in variables that others read. The constant of energies is a sum over states, or that of a Gaussian.
"""

import enum
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.core.errors import SpecError
from gmdsl.core.runtime.precision import full_precision
from gmdsl.exact.discrete_sums import log_sum
from gmdsl.exact.gaps import missing_factor
from gmdsl.exact.gaussian.from_energy import quadratic
from gmdsl.exact.gaussian.from_model import joint_form
from gmdsl.exact.marginal import MarginalEnergy
from gmdsl.exact.missing import marginal_log_density, multivariate_log_prob
from gmdsl.graph.factor_graph import known
from gmdsl.learning.inputs import at_datum, inputs_of, variables_of
from gmdsl.models.model import Model
from gmdsl.models.operators.childless import essential
from gmdsl.models.operators.hidden_part import undone
from gmdsl.models.operators.missing import check_gaps, with_gaps
from gmdsl.spaces.states import states_per_element

AT_ONCE = 1024  # rows side by side


class How(enum.Enum):
    """What is subtracted from the density of a row, or what takes its place."""

    NORMALISED = enum.auto()
    SUMMED = enum.auto()  # a sum over states
    QUADRATIC = enum.auto()  # the constant of a Gaussian energy
    GAUSSIAN = enum.auto()  # the density of a Gaussian mixture, with gaps anywhere
    GAUSSIAN_ENERGY = enum.auto()  # the same of a Gaussian energy


def scored(model: Model, rows: Mapping[str, Any], operation: str) -> np.ndarray:
    """The log-density of what each row has.

    Args:
        model: what is scored; its inputs are open or bound.
        rows: arrays by name with one row per datum, NaN where a variable is missing.
        operation: what the user called, for messages.

    Raises:
        SpecError: an unknown normalising constant, or gaps that no rule integrates out.
    """
    first = {name: value[0] for name, value in rows.items()}
    core = _with_labels_free(model)
    how = _how_normalised(operation, model, essential(core), inputs_of(model, first))
    gaps = [name for name in model.free if np.isnan(np.asarray(rows[name], float)).any()]
    try:
        with_missing = _leave_out(operation, model, rows, gaps)
    except SpecError as refusal:
        bound = at_datum(model, inputs_of(model, first))
        if how == How.NORMALISED and joint_form(bound, _fixed(bound), bound.free) is not None:
            with_missing, how = model, How.GAUSSIAN
        elif how != How.NORMALISED and quadratic(bound) is not None:
            with_missing, how = model, How.GAUSSIAN_ENERGY
        else:
            return _by_pattern(model, rows, gaps, operation, refusal)
    found = np.asarray(_scores(with_missing, core, repr(model.constants), how, rows))
    if how in (How.QUADRATIC, How.GAUSSIAN_ENERGY) and np.isnan(found).any():
        raise SpecError(
            f"{operation}: {essential(core).factors[0].name} has no integral at the inputs of row"
            f" {int(np.argmax(np.isnan(found)))}: it does not rise in all directions. Add a term that does."
        )
    return found


@eqx.filter_jit
@full_precision
def _scores(model: Model, core: Model, types: str, how: How, rows: Mapping[str, Array]) -> Float[Array, " rows"]:
    """The density of each row; the types of the constants are an argument because equality does not see them."""
    del types

    def score(row: Mapping[str, Array]) -> Float[Array, ""]:
        given, own = inputs_of(model, row), variables_of(model, row)
        bound = at_datum(model, given)
        flat = [jnp.ravel(jnp.asarray(own[name], float)) for name in bound.free]
        if how == How.GAUSSIAN:
            form = joint_form(bound, _fixed(bound), bound.free)
            assert form is not None
            return marginal_log_density(form, jnp.concatenate(flat))
        if how == How.GAUSSIAN_ENERGY:
            whole = quadratic(bound)
            assert whole is not None
            return multivariate_log_prob(whole.mean, whole.covariance, jnp.concatenate(flat))
        found = FlatTarget.of(bound).log_density_at(own)
        if how == How.SUMMED:
            return found - log_sum(at_datum(essential(core), given))
        left = quadratic(at_datum(essential(core), given)) if how == How.QUADRATIC else None
        return found if left is None else found - left.log_z

    return jax.lax.map(score, dict(rows), batch_size=AT_ONCE)


def _fixed(model: Model) -> dict[str, Any]:
    return {name: value for name, value in known(model).items() if name not in model.free}


def _with_labels_free(model: Model) -> Model:
    """The model whose energies sum nothing out: its constant is that of the marginal."""
    while found := [factor for factor in model.factors if isinstance(factor, MarginalEnergy)]:
        model = undone(model, found[0], found[0])[0]
    return model


def _how_normalised(operation: str, model: Model, core: Model, given: Mapping[str, Any]) -> How:
    """How the constant of a density is known, at the inputs of a row.

    Raises:
        SpecError: it is not.
    """
    offer = model.capabilities()
    if offer.normalized:
        return How.NORMALISED
    if core.free and all(states_per_element(core.spaces[name]) is not None for name in core.free):
        return How.SUMMED
    if quadratic(at_datum(core, given)) is not None:
        return How.QUADRATIC
    raise SpecError(
        f"{operation}: {offer.reasons['normalized']}, and it is neither discrete nor quadratic. Estimate the constant"
        " at each input by gm.log_normalizer(model.condition(...)) or gm.log_z, and subtract it from"
        " gm.compile(model).log_density."
    )


def _leave_out(operation: str, model: Model, rows: Mapping[str, Any], gaps: list[str]) -> Model:
    """The model in which the gaps of some variables are integrated out where they are made."""
    for name in gaps:
        model = with_gaps(operation, model, name)
        factor = missing_factor(model, name)
        if factor is not None and (factor.event or factor.at_end):
            for row in np.asarray(rows[name]):
                check_gaps(operation, name, factor, row)
    return model


def _by_pattern(
    model: Model, rows: Mapping[str, Any], gaps: list[str], operation: str, refusal: SpecError
) -> np.ndarray:
    """Rows that miss the same whole variables are scored together, by the model with these marginalised."""
    gone = {}
    for name in gaps:
        there = np.isnan(np.asarray(rows[name], float)).reshape(len(rows[name]), -1)
        if (there.any(1) & ~there.all(1)).any():
            raise refusal
        gone[name] = there.all(1)
    found = np.zeros(len(next(iter(rows.values()))))
    patterns = np.stack(list(gone.values()), 1)
    for pattern in np.unique(patterns, axis=0):
        which = (patterns == pattern).all(1)
        hidden = tuple(name for name, missing in zip(gone, pattern, strict=True) if missing)
        if set(hidden) >= set(model.free):
            continue  # nothing is there
        part = {n: v[which] for n, v in rows.items() if n not in hidden}
        found[which] = _of_pattern(model, part, hidden, operation)
    return found


def _of_pattern(model: Model, rows: Mapping[str, Any], hidden: tuple[str, ...], operation: str) -> np.ndarray:
    """The scores of rows that miss some whole variables and nothing else."""
    typed = {n: v if n not in model.spaces or not model.spaces[n].discrete else v.astype(int) for n, v in rows.items()}
    try:
        left = model.marginalize(*hidden) if hidden else model
    except SpecError as error:
        raise SpecError(f"{operation}: {', '.join(hidden)} is missing in some rows. {error}") from error
    return scored(left, typed, operation)
