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
from gmdsl.graph.order import ancestors, reads_of
from gmdsl.models.operators.childless import without_childless
from gmdsl.models.operators.hidden_part import inner_model, opened, pruned, quoted, replaced, touching, visible_shapes


def marginalize[M: FactorGraph](model: M, names: Names, rules: Sequence[Propose] = ()) -> M:
    """The model with some variables integrated out; see `Model.marginalize`."""
    for name in names:
        _refuse(model, name)
    if set(names) >= set(model.random):
        raise SpecError(f"marginalize({quoted(names)}): no variable would be left. Keep one.")
    model = without_childless(model, names)
    left = tuple(name for name in names if name in model.spaces)
    for hidden in _group_connected(model, left):
        model = _integrate(model, hidden, rules)
    return model


def _refuse(model: FactorGraph, name: str) -> None:
    operation = f"marginalize({name!r})"
    if name in model.deterministic:
        above = sorted(set(model.random) & ancestors(model.factors, name))
        raise SpecError(
            f"{operation}: {name} is computed from {', '.join(above)}, it has no density of its own."
            f" Marginalise {above[0] if above else 'a random variable'}; what is computed from it goes with it."
        )
    if name in model.observed:
        raise SpecError(f"{operation}: {name} is observed, a number here. Marginalise it before .condition(...).")
    if name in {**model.data, **model.params, **dict(model.constants), **dict(model.inputs)}:
        raise SpecError(f"{operation}: {name} has no distribution in this model. Only random variables integrate out.")
    if name not in model.spaces:
        raise unknown_name(operation, name, model.free)


def _group_connected(model: FactorGraph, names: Names) -> list[Names]:
    """The hidden variables in groups that no factor joins."""
    groups: list[set[str]] = []
    for name in names:
        together, near = {name}, _neighbours(model, name) & set(names)
        for group in [g for g in groups if g & near or name in set().union(*(_neighbours(model, n) for n in g))]:
            groups.remove(group)
            together |= group
        groups.append(together)
    return [tuple(name for name in names if name in group) for group in groups]


def _neighbours(model: FactorGraph, name: str) -> set[str]:
    """Every random variable in a factor with this one, through what is computed from them."""
    touched: set[str] = set()
    for factor in touching(model, reads_of(model, (name,))):
        touched |= {*factor.parents, *factor.children}
    return touched | {above for computed in touched & set(model.deterministic) for above in _sources(model, computed)}


def _sources(model: FactorGraph, computed: str) -> set[str]:
    return ancestors([f for f in model.factors if isinstance(f, Deterministic)], computed)


def _integrate[M: FactorGraph](model: M, hidden: Names, rules: Sequence[Propose]) -> M:
    """The model with connected hidden variables replaced by one factor."""
    if (inside := _inside_mixture(model, hidden, rules) or _inside_data(model, hidden)) is not None:
        return inside
    inner = inner_model(model, hidden)
    rule = rule_for(inner, hidden, visible_shapes(model, inner, hidden), rules)
    if isinstance(rule, Rule):
        return replaced(model, inner, hidden, rule)
    real = tuple(name for name in hidden if not model.spaces[name].discrete)
    if 0 < len(real) < len(hidden):
        return marginalize(marginalize(model, real, rules), tuple(n for n in hidden if n not in real), rules)
    if (undone := opened(model, hidden)) is not None:
        return marginalize(*undone, rules)
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
