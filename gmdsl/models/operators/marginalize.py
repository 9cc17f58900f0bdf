r"""Marginalising: variables are hidden exactly, or refused.

The factors that touch a hidden variable become one factor (`gmdsl.exact.marginal`). A variable that
nothing depends on is dropped with its conditional, whose integral is one.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.exact.choose import Propose, rule_for
from gmdsl.exact.rule import Rule
from gmdsl.graph.factor import Deterministic, Names
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.empirical import EmpiricalFactor
from gmdsl.graph.factors.mixture import Mixture
from gmdsl.graph.order import Arrows, ancestors, reads_of
from gmdsl.models.operators.childless import without_childless
from gmdsl.models.operators.hidden_part import inner_model, opened, pruned, quoted, replaced, touching, visible_shapes


def marginalize[M: FactorGraph](model: M, names: Names, rules: Sequence[Propose] = ()) -> M:
    """The model with some variables integrated out; see `Model.marginalize`."""
    _refuse(model, names)
    if set(names) >= set(model.random):
        raise SpecError(f"marginalize({quoted(names)}): no variable would be left. Keep one.")
    model = without_childless(model, names)
    left = tuple(name for name in names if name in model.spaces)
    for hidden in _group_connected(model, left):
        model = _integrate(model, hidden, rules)
    return model


def _refuse(model: FactorGraph, names: Names) -> None:
    computed, spaces = set(model.deterministic), model.spaces
    fixed = {**model.data, **model.params, **dict(model.constants), **dict(model.inputs)}
    for name in names:
        operation = f"marginalize({name!r})"
        if name in computed:
            above = sorted(set(model.random) & ancestors(model.factors, name))
            raise SpecError(
                f"{operation}: {name} is computed from {', '.join(above)}, it has no density of its own. Marginalise"
                f" {above[0] if above else 'a random variable'}; what is computed from it goes with it."
            )
        if name in model.observed:
            raise SpecError(f"{operation}: {name} is observed, a number here. Marginalise it before .condition(...).")
        if name in fixed:
            raise SpecError(
                f"{operation}: {name} has no distribution in this model. Only random variables integrate out."
            )
        if name not in spaces:
            raise unknown_name(operation, name, model.free)


def _group_connected(model: FactorGraph, names: Names) -> list[Names]:
    """The hidden variables in groups that no factor joins, through what is computed from them either."""
    computed = Arrows(factor for factor in model.factors if isinstance(factor, Deterministic))
    rank = {name: place for place, name in enumerate(names)}
    group_of = {name: {name} for name in names}
    for factor in model.factors:
        touched = {*factor.parents, *factor.children}
        joined = [group_of[name] for name in rank.keys() & (touched | computed.above(touched))]
        largest = max(joined, key=len, default=set())
        for group in joined:
            if group is not largest and not group <= largest:
                largest |= group
                group_of.update(dict.fromkeys(group, largest))
    groups = {id(group): group for group in group_of.values()}.values()
    return [tuple(sorted(group, key=rank.__getitem__)) for group in groups]


def _integrate[M: FactorGraph](model: M, hidden: Names, rules: Sequence[Propose]) -> M:
    """The model with connected hidden variables replaced by one factor."""
    if (inside := _inside_mixture(model, hidden, rules) or _inside_data(model, hidden)) is not None:
        return inside
    inner = inner_model(model, hidden)
    rule = rule_for(inner, hidden, visible_shapes(model, inner, hidden), rules)
    if isinstance(rule, Rule):
        return replaced(model, inner, hidden, rule, rules)
    real = tuple(name for name in hidden if not model.spaces[name].discrete)
    if 0 < len(real) < len(hidden):
        return marginalize(marginalize(model, real, rules), tuple(n for n in hidden if n not in real), rules)
    if (undone := opened(model, hidden)) is not None:
        whole, together, own = undone
        return marginalize(whole, together, (*rules, *own))
    raise SpecError(
        f"marginalize({quoted(hidden)}): no exact rule applies ({rule}). Keep it and sample the joint by"
        " gm.sample, estimate the density of data by gm.log_marginal with gm.AIS(...) or importance sampling, or bound"
        " it by gm.ELBO."
    )


def _inside_mixture(model: FactorGraph, hidden: Names, rules: Sequence[Propose]) -> Any | None:
    """The model with variables of a mixture hidden in each part, where nothing else touches them."""
    touched = touching(model, reads_of(model, hidden))
    if len(touched) != 1 or not isinstance(touched[0], Mixture):
        return None
    mixed = touched[0]
    kept = [(pair, space) for pair, space in zip(mixed.made, mixed.spaces, strict=True) if pair[1] not in hidden]
    if not kept:
        return None
    gone = tuple(inner for inner, outer in mixed.made if outer in hidden)
    factor = dataclasses.replace(
        mixed,
        parts=tuple(marginalize(part, gone, rules) for part in mixed.parts),
        made=tuple(pair for pair, _ in kept),
        spaces=tuple(space for _, space in kept),
    )
    factors = tuple(factor if f is mixed else f for f in model.factors)
    return pruned(dataclasses.replace(model, factors=factors), set(hidden))


def _inside_data(model: FactorGraph, hidden: Names) -> Any | None:
    """The model with columns of a data set left out, where nothing else touches them."""
    touched = touching(model, reads_of(model, hidden))
    if len(touched) != 1 or not isinstance(touched[0], EmpiricalFactor):
        return None
    rest = touched[0].only(set(touched[0].children) - set(hidden))
    factors = tuple(rest if f is touched[0] else f for f in model.factors)
    return pruned(dataclasses.replace(model, factors=factors), set(hidden))
