"""Where gaps are integrated out in a model: behind hidden variables, in mixtures, under weights and powers."""

from collections.abc import Iterator

from gmdsl.exact.marginal import MarginalEnergy
from gmdsl.exact.missing import Missing
from gmdsl.exact.missing_power import MissingPower
from gmdsl.graph.factor import Factor
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.power import Power
from gmdsl.graph.factors.submodel import Submodel
from gmdsl.graph.factors.wrapped import Wrapped


def missing_factor(model: FactorGraph, name: str) -> Missing | MissingPower | None:
    """The factor that integrates the gaps of a variable out, wherever it sits; None when there is none."""
    return next(_found(model, name), None)


def may_have_gaps(model: FactorGraph) -> set[str]:
    """The variables of the factors that can hold one that integrates gaps out."""
    around = [_without_power(factor) for factor in model.factors]
    around = [f for f in around if isinstance(f, Wrapped | Submodel | MarginalEnergy | MissingPower)]
    read = {outer for factor in around if isinstance(factor, MarginalEnergy) for _, outer in factor.read}
    read |= {child for factor in around if isinstance(factor, MissingPower) for child in factor.base.children}
    return read.union(*(factor.children for factor in around))


def makes(factor: Factor, name: str) -> bool:
    """Whether a factor makes a variable: as a child, under a power, or inside of an energy with hidden variables."""
    factor = _without_power(factor)
    if isinstance(factor, MissingPower):
        return name in factor.base.children
    if not isinstance(factor, MarginalEnergy):
        return name in factor.children
    inner = next((inner for inner, outer in factor.read if outer == name), None)
    return inner is not None and any(makes(inside, inner) for inside in factor.model.factors)


def _without_power(factor: Factor) -> Factor:
    while isinstance(factor, Power):
        factor = factor.factor
    return factor


def _found(model: FactorGraph, name: str) -> Iterator[Missing | MissingPower]:
    for factor in map(_without_power, model.factors):
        if isinstance(factor, MissingPower) and name in factor.base.children:
            yield factor
        if isinstance(factor, MarginalEnergy):
            for inner in (inner for inner, outer in factor.read if outer == name):
                yield from _found(factor.model, inner)
        if name not in factor.children:
            continue
        while isinstance(factor, Wrapped) and not isinstance(factor, Missing):
            factor = factor.base
        if isinstance(factor, Missing):
            yield factor
        elif isinstance(factor, Submodel):
            inner = next(inside for inside, outside in factor.made if outside == name)
            for part in factor.parts:
                yield from _found(part, inner)
