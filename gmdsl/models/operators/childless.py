"""Normalised conditionals that nothing reads: their integral is one, so they can be left out."""

import dataclasses
from collections import Counter

from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Names
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.order import Arrows
from gmdsl.models.operators.hidden_part import pruned


def without_childless[M: FactorGraph](model: M, names: Names) -> M:
    """The model without hidden variables on which nothing depends."""
    hidden = set(names) - set(model.narrowed)
    computed = Arrows(factor for factor in model.factors if isinstance(factor, Deterministic))
    users: dict[str, set[int]] = {}  # the terms that read or make each variable
    for factor in model.factors:
        for name in () if isinstance(factor, Deterministic) else (*factor.parents, *factor.children):
            users.setdefault(name, set()).add(id(factor))
    gone: set[int] = set()
    left = [f for f in reversed(model.factors) if isinstance(f, Conditional) and f.children and hidden >= {*f.children}]
    while True:  # once where parents are declared before children
        reads = {id(f): {*f.children, *computed.below(f.children)} for f in left}
        dead = []
        for factor in left:
            if factor.normalized and not set().union(*(users.get(n, set()) for n in reads[id(factor)])) - {id(factor)}:
                dead.append(factor)
                for name in (*factor.parents, *factor.children):
                    users[name].discard(id(factor))
        if not dead:
            break
        gone |= {id(factor) for factor in dead}
        left = [factor for factor in left if id(factor) not in gone]
    if not gone:
        return model
    made = {child for factor in model.factors if id(factor) in gone for child in factor.children}
    return pruned(dataclasses.replace(model, factors=tuple(f for f in model.factors if id(f) not in gone)), made)


def essential[M: FactorGraph](model: M) -> M:
    """The model without normalised conditionals that nothing else reads: their expected gradient is zero."""
    while True:
        read = {name for factor in model.factors for name in factor.parents}
        made = Counter(name for factor in model.factors for name in factor.children)
        kept = {name for name, count in made.items() if name in read or name in model.observed or count > 1}
        ends = [f for f in model.factors if isinstance(f, Conditional) and f.normalized and not kept & set(f.children)]
        if not ends:
            return model
        gone = {name for factor in ends for name in factor.children}
        model = dataclasses.replace(
            model,
            factors=tuple(factor for factor in model.factors if not set(factor.children) & gone),
            declared=tuple(pair for pair in model.declared if pair[0] not in gone),
        )
