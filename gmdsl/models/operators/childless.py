"""Normalised conditionals that nothing reads: their integral is one, so they can be left out."""

import dataclasses

from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Factor, Names
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.order import reads_of
from gmdsl.models.operators.hidden_part import pruned


def without_childless[M: FactorGraph](model: M, names: Names) -> M:
    """The model without hidden variables on which nothing depends."""
    while True:
        dead = _childless(model, names)
        if dead is None:
            return model
        gone = set(dead.children)
        model = pruned(dataclasses.replace(model, factors=tuple(f for f in model.factors if f is not dead)), gone)


def _childless(model: FactorGraph, names: Names) -> Factor | None:
    """A normalised conditional of hidden variables that no other factor reads."""
    for factor in model.factors:
        computed = reads_of(model, factor.children)
        others = [f for f in model.factors if f is not factor and not isinstance(f, Deterministic)]
        used = any(computed & {*f.parents, *f.children} for f in others)
        hidden = factor.children and set(factor.children) <= set(names) - set(model.narrowed)
        if isinstance(factor, Conditional) and hidden and factor.normalized and not used:
            return factor
    return None


def essential[M: FactorGraph](model: M) -> M:
    """The model without normalised conditionals that nothing else reads: their expected gradient is zero."""
    while True:
        read = [name for factor in model.factors for name in factor.parents]
        made = [name for factor in model.factors for name in factor.children]
        kept = {name for name in made if name in read or name in model.observed or made.count(name) > 1}
        ends = [f for f in model.factors if isinstance(f, Conditional) and f.normalized and not kept & set(f.children)]
        if not ends:
            return model
        gone = {name for factor in ends for name in factor.children}
        model = dataclasses.replace(
            model,
            factors=tuple(factor for factor in model.factors if not set(factor.children) & gone),
            declared=tuple(pair for pair in model.declared if pair[0] not in gone),
        )
