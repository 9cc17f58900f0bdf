r"""Marginalising: variables are hidden exactly, or refused.

The factors that touch a hidden variable become one factor (`gmdsl.exact.marginal`). A variable that
nothing depends on is dropped with its conditional, whose integral is one.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.exact.marginal import Marginal, MarginalEnergy
from gmdsl.exact.rule import Rule, reads_of
from gmdsl.exact.rules.counting import counting
from gmdsl.exact.rules.elimination import elimination
from gmdsl.exact.rules.empirical import empirical_kernel
from gmdsl.exact.rules.enumeration import enumeration
from gmdsl.exact.rules.linear_gaussian import linear_gaussian
from gmdsl.exact.rules.mixture_kernel import mixture_kernel
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Factor
from gmdsl.graph.factors.empirical import Empirical
from gmdsl.graph.order import ancestors, cycle
from gmdsl.models.declare.mixture import Mixture
from gmdsl.spaces.space import Real, Space, abstract, fixed_space

RULES = {  # tried in this order
    "enumeration": enumeration,
    "counting": counting,
    "variable elimination": elimination,
    "linear-Gaussian": linear_gaussian,
    "Gaussian mixture": mixture_kernel,
    "empirical": empirical_kernel,
}
CHEAP = 32  # evaluations: a rule that takes no more is used without asking the others

type Names = tuple[str, ...]


def marginalize(model: Any, names: Names) -> Any:
    """The model with some variables integrated out; see `Model.marginalize`."""
    for name in names:
        _refuse(model, name)
    if set(names) >= set(model.random):
        raise SpecError(f"marginalize({_quoted(names)}): no variable would be left. Keep one.")
    model = _without_childless(model, names)
    left = tuple(name for name in names if name in model.spaces)
    for hidden in _connected(model, left):
        model = _integrated(model, hidden)
    return model


def _refuse(model: Any, name: str) -> None:
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


def _without_childless(model: Any, names: Names) -> Any:
    """The model without hidden variables on which nothing depends."""
    while True:
        dead = _childless(model, names)
        if dead is None:
            return model
        gone = set(dead.children)
        model = _pruned(dataclasses.replace(model, factors=tuple(f for f in model.factors if f is not dead)), gone)


def _childless(model: Any, names: Names) -> Factor | None:
    """A normalised conditional of hidden variables that no other factor reads."""
    for factor in model.factors:
        computed = reads_of(model, factor.children)
        others = [f for f in model.factors if f is not factor and not isinstance(f, Deterministic)]
        used = any(computed & {*f.parents, *f.children} for f in others)
        hidden = factor.children and set(factor.children) <= set(names) - set(model.narrowed)
        if isinstance(factor, Conditional) and hidden and factor.normalized and not used:
            return factor
    return None


def _pruned(model: Any, gone: set[str]) -> Any:
    """The model without some variables and without what is computed from them."""
    gone = reads_of(model, tuple(gone))
    factors = tuple(f for f in model.factors if not (isinstance(f, Deterministic) and f.child in gone))
    dims = tuple((name, labels) for name, labels in model.dims if name not in gone)
    used = {label for _, labels in dims for label in labels}
    return dataclasses.replace(
        model,
        factors=factors,
        declared=tuple((name, space) for name, space in model.declared if name not in gone),
        narrowed=tuple(name for name in model.narrowed if name not in gone),
        dims=dims,
        coords=tuple((label, names) for label, names in model.coords if label in used),
    )


def _connected(model: Any, names: Names) -> list[Names]:
    """The hidden variables in groups that no factor joins."""
    groups: list[set[str]] = []
    for name in names:
        together, near = {name}, _neighbours(model, name) & set(names)
        for group in [g for g in groups if g & near or name in set().union(*(_neighbours(model, n) for n in g))]:
            groups.remove(group)
            together |= group
        groups.append(together)
    return [tuple(name for name in names if name in group) for group in groups]


def _neighbours(model: Any, name: str) -> set[str]:
    """Every random variable in a factor with this one, through what is computed from them."""
    touched: set[str] = set()
    for factor in _touching(model, reads_of(model, (name,))):
        touched |= {*factor.parents, *factor.children}
    return touched | {above for computed in touched & set(model.deterministic) for above in _sources(model, computed)}


def _sources(model: Any, computed: str) -> set[str]:
    return ancestors([f for f in model.factors if isinstance(f, Deterministic)], computed)


def _touching(model: Any, names: Iterable[str]) -> list[Factor]:
    names = set(names)
    return [f for f in model.factors if not isinstance(f, Deterministic) and names & {*f.parents, *f.children}]


def _integrated(model: Any, hidden: Names) -> Any:
    """The model with connected hidden variables replaced by one factor."""
    if (inside := _inside_mixture(model, hidden) or _inside_data(model, hidden)) is not None:
        return inside
    inner = _inner(model, hidden)
    rule = rule_for(inner, hidden, _shapes(model, inner, hidden))
    if isinstance(rule, Rule):
        return _replaced(model, inner, hidden, rule)
    real = tuple(name for name in hidden if not model.spaces[name].discrete)
    if 0 < len(real) < len(hidden):
        return marginalize(marginalize(model, real), tuple(name for name in hidden if name not in real))
    if (opened := _opened(model, hidden)) is not None:
        return marginalize(*opened)
    raise SpecError(
        f"marginalize({_quoted(hidden)}): no exact rule applies ({rule}). Keep it and sample the joint by"
        " gm.sample, estimate the density of data by gm.log_marginal with gm.AIS(...) or importance sampling, or bound"
        " it by gm.ELBO."
    )


def rule_for(model: Any, hidden: Names, shapes: Mapping[str, Any]) -> Rule | str:
    """The first rule that is cheap, or not much dearer than the cheapest that applies; or why none does.

    Args:
        model: the factors that touch hidden variables.
        hidden: the variables to be hidden.
        shapes: shapes (or numbers) of all others.
    """
    found: list[Rule] = []
    reasons: dict[str, list[str]] = {}
    for title_of, propose in RULES.items():
        rule = propose(model, hidden, shapes)
        if isinstance(rule, str):
            reasons.setdefault(rule, []).append(title_of)
        elif rule.evaluations <= CHEAP:
            return rule
        else:
            found.append(rule)
    least = min((rule.evaluations for rule in found), default=0)
    reasons.pop("", None)  # rules for variables of another kind
    why = "; ".join(f"{', '.join(titles)}: {reason}" for reason, titles in reasons.items())
    return next((rule for rule in found if rule.evaluations <= 4 * least), why)


def _inside_mixture(model: Any, hidden: Names) -> Any | None:
    """The model with variables of a mixture hidden in each part, where nothing else touches them."""
    touching = _touching(model, reads_of(model, hidden))
    if len(touching) != 1 or not isinstance(touching[0], Mixture):
        return None
    mixed = touching[0]
    kept = [(pair, space) for pair, space in zip(mixed.made, mixed.spaces, strict=True) if pair[1] not in hidden]
    if not kept:
        return None
    gone = tuple(inner for inner, outer in mixed.made if outer in hidden)
    factor = dataclasses.replace(
        mixed,
        parts=tuple(marginalize(part, gone) for part in mixed.parts),
        made=tuple(pair for pair, _ in kept),
        spaces=tuple(space for _, space in kept),
    )
    factors = tuple(factor if f is mixed else f for f in model.factors)
    return _pruned(dataclasses.replace(model, factors=factors), set(hidden))


def _inside_data(model: Any, hidden: Names) -> Any | None:
    """The model with columns of a data set left out, where nothing else touches them."""
    touching = _touching(model, reads_of(model, hidden))
    if len(touching) != 1 or not isinstance(touching[0], Empirical):
        return None
    rest = touching[0].only(set(touching[0].made) - set(hidden))
    factors = tuple(rest if f is touching[0] else f for f in model.factors)
    return _pruned(dataclasses.replace(model, factors=factors), set(hidden))


def _opened(model: Any, hidden: Names) -> tuple[Any, Names] | None:
    """The model with a marginal of hidden variables undone, and all that is then to be hidden at once."""
    found = [f for f in _touching(model, hidden) if isinstance(f, Marginal)]
    if not found:
        return None
    factor, inner = found[0], found[0].parts[0]
    names = dict((*factor.read, *factor.made))
    taken = {*model.spaces, *model.data, *model.params, *dict(model.inputs), *dict(model.constants), *names.values()}
    for name, _ in inner.declared:
        if name not in names:
            names[name] = _apart(name, taken)
            taken.add(names[name])
    factors = [g for f in model.factors for g in ([h.rename(names) for h in inner.factors] if f is factor else [f])]
    added = tuple((names[name], space) for name, space in inner.declared if names[name] not in model.spaces)
    return (
        dataclasses.replace(
            model,
            factors=tuple(factors),
            declared=model.declared + added,
            narrowed=tuple(dict.fromkeys((*model.narrowed, *(names[name] for name in inner.narrowed)))),
        ),
        (*hidden, *(names[name] for name in factor.hidden)),
    )


def _apart(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    return name


def _inner(model: Any, hidden: Names) -> Any:
    """The factors that touch the hidden variables, as a model whose inputs are everything else."""
    reach = reads_of(model, hidden)
    group = _touching(model, reach)
    while (between := _between(model, group)) is not None:
        group.append(between)
    made = {child for factor in group for child in factor.children}
    inside = [f for f in model.factors if isinstance(f, Deterministic) and f.child in reads_of(model, (*made, *hidden))]
    needed = {parent for factor in group for parent in factor.parents}
    needed |= {above for name in needed for above in ancestors(inside, name)}
    inside = [f for f in inside if f.child in needed]
    factors = tuple(f for f in model.factors if _is_in(f, [*group, *inside]))
    names = {*made, *hidden, *(f.child for f in inside)}
    reads = {parent for factor in factors for parent in factor.parents} - names
    return dataclasses.replace(
        model,
        factors=factors,
        declared=tuple((name, space) for name, space in model.declared if name in names),
        inputs=tuple((name, _space_of(model, name)) for name in sorted(reads)),
        data={},
        params={},
        observed={},
        constants=(),
        bound=(),
        narrowed=tuple(name for name in model.narrowed if name in names),
        dims=(),
        coords=(),
    )


def _between(model: Any, group: list[Factor]) -> Factor | None:
    """A conditional outside the group that lies on a path from its children to its parents."""
    made = {child for factor in group for child in factor.children}
    above = {
        name for factor in group for parent in factor.parents for name in (parent, *ancestors(model.factors, parent))
    }
    for factor in model.factors:
        if isinstance(factor, Conditional) and not _is_in(factor, group):
            below = any(made & ancestors(model.factors, child) for child in factor.children)
            if below and set(factor.children) & above:
                return factor
    return None


def _replaced(model: Any, inner: Any, hidden: Names, rule: Rule) -> Any:
    """The model with the factors inside replaced by their marginal."""
    held = [f for f in inner.factors if not isinstance(f, Deterministic)]
    made = [child for factor in held for child in factor.children]
    visible = tuple(name for name, _ in inner.declared if name in made and name not in hidden)
    reads = tuple((name, name) for name, _ in inner.inputs)
    if visible and _directed(inner, hidden):
        operation = f"marginalize({_quoted(hidden)})"
        free = [name for name in visible if name not in model.observed]
        spaces = {name: fixed_space(operation, name, model.spaces[name]) for name in free}
        factor: Factor = Marginal(
            parts=(inner,),
            rule=rule,
            hidden=hidden,
            made=tuple((name, name) for name in visible),
            read=reads,
            spaces=tuple(spaces.get(name, model.spaces[name]) for name in visible),
        )
    else:
        factor = MarginalEnergy(inner, rule, hidden, reads + tuple((name, name) for name in visible))
    first = next(i for i, f in enumerate(model.factors) if _is_in(f, held))
    kept = [factor if i == first else f for i, f in enumerate(model.factors) if i == first or not _is_in(f, held)]
    return _pruned(dataclasses.replace(model, factors=tuple(kept)), set(hidden))


def _directed(inner: Any, hidden: Names) -> bool:
    """Whether the factors inside are conditionals of different variables, without a cycle."""
    held = [f for f in inner.factors if not isinstance(f, Deterministic)]
    made = [child for factor in held for child in factor.children]
    once = len(set(made)) == len(made) and set(made) >= set(hidden) and not set(inner.narrowed) & set(hidden)
    return once and all(isinstance(f, Conditional) for f in held) and not cycle(inner.factors)


def _is_in(factor: Factor, factors: list[Factor]) -> bool:
    return any(factor is other for other in factors)


def _shapes(model: Any, inner: Any, hidden: Names) -> dict[str, Any]:
    """Shapes of what is visible from inside; constants stay numbers."""
    constants = dict(model.constants)
    names = [name for name, _ in (*inner.declared, *inner.inputs)]
    computed = set(inner.deterministic)
    spaces = {**inner.spaces, **dict(inner.inputs)}
    shapes = {n: _abstract(model, n, spaces[n]) for n in names if n not in hidden and n not in computed}
    return {name: constants.get(name, shape) for name, shape in shapes.items()}


def _abstract(model: Any, name: str, space: Space) -> jax.ShapeDtypeStruct:
    value = model.data.get(name)
    if value is None:
        return abstract(space)
    return jax.ShapeDtypeStruct(np.shape(value), jax.dtypes.canonicalize_dtype(value.dtype))


def _space_of(model: Any, name: str) -> Space:
    spaces = {**model.spaces, **dict(model.inputs), **{n: p.space for n, p in model.params.items()}}
    return spaces[name] if name in spaces else Real(*np.shape(model.data.get(name, 0.0)))


def _quoted(names: Names) -> str:
    return ", ".join(repr(name) for name in names)
