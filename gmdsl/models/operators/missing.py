"""Observations with gaps: which factors can leave elements out, and where that is refused."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from gmdsl.core.errors import SpecError
from gmdsl.exact.choose import rule_for
from gmdsl.exact.gaps import makes, may_have_gaps, missing_factor
from gmdsl.exact.gaussian.from_model import factor_form
from gmdsl.exact.marginal import Marginal, MarginalEnergy
from gmdsl.exact.missing import FIX, Missing, multivariate_normal, one_event
from gmdsl.exact.missing_path import only_at_end
from gmdsl.exact.missing_power import MissingPower, knows_power
from gmdsl.exact.rule import Rule, Shapes
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Factor, Values
from gmdsl.graph.factor_graph import FactorGraph, shapes_of
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.power import Power
from gmdsl.graph.factors.submodel import Submodel
from gmdsl.graph.factors.time_series import Scan


def with_gaps[M: FactorGraph](operation: str, model: M, name: str) -> M:
    """The model in which the gaps of `name` will be integrated out, also where hidden variables were before.

    Raises:
        SpecError: the variable is read elsewhere, or no rule integrates a part of it out.
    """
    return _with_gaps(operation, model, name, shapes_of(model))


def _with_gaps[M: FactorGraph](operation: str, model: M, name: str, shapes: Shapes) -> M:
    makers = [factor for factor in model.factors if makes(factor, name)]
    if len(makers) != 1:
        raise SpecError(_no_maker(operation, name))
    if _reader(model, name) is not None:
        raise SpecError(f"{operation}: {_reader(model, name)} reads {name}, missing elements included. {FIX}")
    factor = _with_gaps_in(operation, makers[0], name, shapes)
    return eqx.tree_at(lambda m: m.factors, model, tuple(factor if f is makers[0] else f for f in model.factors))


def _with_gaps_in(operation: str, maker: Factor, name: str, shapes: Shapes) -> Factor:
    """The factor that makes a variable, with gaps; of a marginal the gaps are those of the factor inside."""
    refusal = None
    if isinstance(maker, Power):
        return _with_gaps_under_power(operation, maker, name, shapes)
    if isinstance(maker, Marginal | MarginalEnergy):
        try:
            return _with_gaps_behind(operation, maker, name, shapes)
        except SpecError as error:
            refusal = error
    if not isinstance(maker, Conditional) or len(maker.children) != 1:
        raise refusal or SpecError(_no_maker(operation, name))
    try:
        return Missing(maker, *_what_goes_together(operation, maker, shapes))
    except SpecError as error:
        raise refusal or error from None


def _with_gaps_behind(
    operation: str, maker: Marginal | MarginalEnergy, name: str, shapes: Shapes
) -> Marginal | MarginalEnergy:
    """A marginal over hidden variables with gaps in what they explain; its rule is chosen again."""
    pairs, part = maker.pairs, maker.part
    visible = {inner: shapes[outer] for inner, outer in pairs}
    inner = next(inner for inner, outer in pairs if outer == name)
    part = _with_gaps(operation, part, inner, {**shapes_of(part), **visible})
    rule = rule_for(part, maker.hidden, visible, [own.function for own in maker.own])
    if not isinstance(rule, Rule):
        hidden = ", ".join(map(repr, maker.hidden))
        raise SpecError(
            f"{operation}: with gaps in {name} no exact rule integrates {hidden} out ({rule}). Condition the joint"
            f" first, gaps included, and then .marginalize({hidden}, rules=[...]) by your own, or keep it."
        )
    return maker.around_part(part, rule)


def _with_gaps_under_power(operation: str, maker: Power, name: str, shapes: Shapes) -> MissingPower:
    """The power of a conditional with gaps, which are integrated out of the powered density."""
    base, found = maker.factor, []
    if isinstance(base, Distributed):
        known = {parent: shapes[parent] for parent in base.parents}
        numbers = {n: value for n, value in known.items() if not isinstance(value, jax.ShapeDtypeStruct)}
        arrays = {n: value for n, value in known.items() if n not in numbers}
        jax.eval_shape(lambda values: found.append(knows_power(base.distribution({**numbers, **values}))), arrays)
        if found[0] and maker.exponent > 0.0:
            return MissingPower(base, maker.exponent)
    raise SpecError(
        f"{operation}: {name} has gaps under a power, and the integral of {maker.name} over what is missing is not"
        f" known. Observe first and take the power of what was seen, .condition({name}=..., missing=...) **"
        f" {maker.exponent:g}, which is another density."
    )


def _no_maker(operation: str, name: str) -> str:
    return (
        f"{operation}: {name} is not drawn by a conditional of its own, so its missing elements cannot be"
        f" integrated out. {FIX}"
    )


def check_gaps(operation: str, name: str, factor: Missing | MissingPower, value: Any) -> None:
    """Refuses gaps that are a part of an event, or inside of a path that is known up to its end."""
    if factor.at_end and not isinstance(value, Tracer):
        _check_end(operation, name, factor, value)
    axes = tuple(range(-factor.event, 0))
    if isinstance(value, Tracer) or not axes:
        return
    gaps = np.isnan(value)
    torn = gaps.any(axes) & ~gaps.all(axes)
    if torn.any():
        where = tuple(int(i) for i in np.argwhere(torn)[0]) if torn.ndim else ""
        raise SpecError(
            f"{operation}: a part of the event {name}{list(where) or ''} is missing, and the marginal of {factor.name}"
            f" is not known. {FIX}"
        )


def check_readers(operation: str, model: FactorGraph) -> None:
    """Refuses a model in which something else reads an observation with gaps."""
    for name in may_have_gaps(model) & model.observed.keys():
        if missing_factor(model, name) is not None and (reader := _reader(model, name)) is not None:
            raise SpecError(f"{operation}: {reader} reads {name}, missing elements included. {FIX}")


def _reader(model: FactorGraph, name: str) -> str | None:
    """The name of a factor that reads a variable."""
    found = [f for f in model.factors if name in f.parents and not makes(f, name)]
    return None if not found else found[0].child if isinstance(found[0], Deterministic) else found[0].name


def _check_end(operation: str, name: str, factor: Missing | MissingPower, value: Any) -> None:
    """Refuses a path with values after its first gap."""
    gaps = np.isnan(value).reshape(len(value), -1).any(1)
    whole = np.isnan(value).reshape(len(value), -1).all(1)
    first = int(np.argmax(gaps)) if gaps.any() else len(value)
    if not whole[first:].all():
        raise SpecError(
            f"{operation}: {name}[{first}] is missing and something after it is not, and the marginal of {factor.name}"
            " is known for Gaussian paths and labels alone; of this path only the end can be missing. Declare the"
            " missing part as a variable of its own."
        )


def _what_goes_together(operation: str, maker: Conditional, shapes: Shapes) -> tuple[int, bool]:
    """How many trailing axes of the child can only be missing together, and whether only its end can be missing."""
    found: list[Any] = []
    known = {name: shapes[name] for name in maker.parents}
    numbers = {n: value for n, value in known.items() if not isinstance(value, jax.ShapeDtypeStruct)}

    def run(values: Values) -> None:
        values = {**numbers, **values}
        if isinstance(maker, Distributed):
            found.append(_event_rank(maker.distribution(values)))
        elif isinstance(maker, Scan):
            found.append(only_at_end(maker, values))
        elif isinstance(maker, Submodel):
            found.append(factor_form(maker, values))

    jax.eval_shape(run, {n: known[n] for n in known if n not in numbers})
    if not found or found[0] is None:
        raise SpecError(f"{operation}: {maker.name} has no known marginals. {FIX}")
    if isinstance(found[0], bool):
        return 0, found[0]
    return found[0] if isinstance(found[0], int) else 0, False


def _event_rank(distribution: Any) -> int:
    distribution = one_event(distribution)
    return 0 if multivariate_normal(distribution) is not None else len(distribution.event_shape)
