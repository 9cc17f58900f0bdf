"""Observations with gaps: which factors can leave elements out, and where that is refused."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from gmdsl.core.errors import SpecError
from gmdsl.exact.gaussian.from_model import factor_form
from gmdsl.exact.missing import FIX, Missing, missing_factor, multivariate_normal, one_event
from gmdsl.exact.missing_path import only_at_end
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Values
from gmdsl.graph.factor_graph import FactorGraph, shapes_of
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.submodel import Submodel
from gmdsl.graph.factors.time_series import Scan


def with_gaps[M: FactorGraph](operation: str, model: M, name: str) -> M:
    """The model in which the gaps of `name` will be integrated out.

    Raises:
        SpecError: the variable is read elsewhere, or no rule integrates a part of it out.
    """
    makers = [factor for factor in model.factors if name in factor.children]
    if len(makers) != 1 or not isinstance(makers[0], Conditional) or len(makers[0].children) != 1:
        raise SpecError(
            f"{operation}: {name} is not drawn by a conditional of its own, so its missing elements cannot be"
            f" integrated out. {FIX}"
        )
    maker = makers[0]
    if _reader(model, name) is not None:
        raise SpecError(f"{operation}: {_reader(model, name)} reads {name}, missing elements included. {FIX}")
    factor = Missing(maker, *_what_goes_together(operation, model, maker))
    return eqx.tree_at(lambda m: m.factors, model, tuple(factor if f is maker else f for f in model.factors))


def check_gaps(operation: str, name: str, factor: Missing, value: Any) -> None:
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
    for name in model.observed:
        if missing_factor(model, name) is not None and (reader := _reader(model, name)) is not None:
            raise SpecError(f"{operation}: {reader} reads {name}, missing elements included. {FIX}")


def _reader(model: FactorGraph, name: str) -> str | None:
    """The name of a factor that reads a variable."""
    found = [f for f in model.factors if name in f.parents]
    return None if not found else found[0].child if isinstance(found[0], Deterministic) else found[0].name


def _check_end(operation: str, name: str, factor: Missing, value: Any) -> None:
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


def _what_goes_together(operation: str, model: FactorGraph, maker: Conditional) -> tuple[int, bool]:
    """How many trailing axes of the child can only be missing together, and whether only its end can be missing."""
    found: list[Any] = []
    known = shapes_of(model)
    numbers = {n: known[n] for n in maker.parents if not isinstance(known[n], jax.ShapeDtypeStruct)}

    def run(values: Values) -> None:
        values = {**numbers, **values}
        if isinstance(maker, Distributed):
            found.append(_event_rank(maker.distribution(values)))
        elif isinstance(maker, Scan):
            found.append(only_at_end(maker, values))
        elif isinstance(maker, Submodel):
            found.append(factor_form(maker, values))

    jax.eval_shape(run, {n: known[n] for n in maker.parents if n not in numbers})
    if not found or found[0] is None:
        space = model.spaces[maker.children[0]].title
        hidden = ", ".join(map(repr, getattr(maker, "hidden", ())))
        fix = f"Condition the joint first, gaps included, and then .marginalize({hidden})." if hidden else FIX
        raise SpecError(f"{operation}: {maker.name} in {space} has no known marginals. {fix}")
    if isinstance(found[0], bool):
        return 0, found[0]
    return found[0] if isinstance(found[0], int) else 0, False


def _event_rank(distribution: Any) -> int:
    distribution = one_event(distribution)
    return 0 if multivariate_normal(distribution) is not None else len(distribution.event_shape)
