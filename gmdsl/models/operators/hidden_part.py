"""The part of a model around hidden variables: taken out, closed and put back as one factor."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from gmdsl.core.pytrees.function import Function
from gmdsl.exact.marginal import Marginal, MarginalEnergy
from gmdsl.exact.rule import Rule
from gmdsl.exact.support_union import united_space
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Factor, Names
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.names import listed
from gmdsl.graph.order import Arrows, ancestors, cycle, reads_of
from gmdsl.spaces.space import Real, Space, abstract, fixed_space


def pruned[M: FactorGraph](model: M, gone: set[str]) -> M:
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


def touching(model: FactorGraph, names: Iterable[str]) -> list[Factor]:
    """The terms that read or make one of these variables."""
    names = set(names)
    return [f for f in model.factors if not isinstance(f, Deterministic) and names & {*f.parents, *f.children}]


def opened(model: FactorGraph, hidden: Names) -> tuple[Any, Names, list[Any]] | None:
    """The model with a marginal of hidden variables undone, all that is then to be hidden at once, and its rules."""
    found = [f for f in touching(model, hidden) if isinstance(f, Marginal)]
    if not found:
        return None
    model, names = undone(model, found[0], found[0])
    own = [kept.function for kept in found[0].own]
    return model, (*hidden, *(names[name] for name in found[0].hidden)), own


def undone(model: FactorGraph, factor: Factor, marginal: Marginal | MarginalEnergy) -> tuple[Any, dict[str, str]]:
    """The model with what a marginal was made of in its place, its hidden variables free again.

    Args:
        model: that holds the factor.
        factor: the marginal, or what wraps it.
        marginal: itself.

    Returns:
        The model, and what each name inside is called in it.
    """
    inner, names = marginal.part, dict(marginal.pairs)
    taken = {*model.spaces, *model.data, *model.params, *dict(model.inputs), *dict(model.constants), *names.values()}
    for name, _ in inner.declared:
        if name not in names:
            names[name] = _rename_apart(name, taken)
            taken.add(names[name])
    factors = [g for f in model.factors for g in ([h.rename(names) for h in inner.factors] if f is factor else [f])]
    added = tuple((names[name], space) for name, space in inner.declared if names[name] not in model.spaces)
    narrowed = tuple(dict.fromkeys((*model.narrowed, *(names[name] for name in inner.narrowed))))
    declared = model.declared + added
    return dataclasses.replace(model, factors=tuple(factors), declared=declared, narrowed=narrowed), names


def _rename_apart(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    return name


def inner_model[M: FactorGraph](model: M, hidden: Names) -> M:
    """The factors that touch the hidden variables, as a model whose inputs are everything else."""
    reach = reads_of(model, hidden)
    group = touching(model, reach)
    while between := _find_between(model, group):
        group += between
    made = {child for factor in group for child in factor.children}
    computed = reads_of(model, (*made, *hidden))
    inside = [f for f in model.factors if isinstance(f, Deterministic) and f.child in computed]
    needed = {parent for factor in group for parent in factor.parents}
    needed |= ancestors(inside, *needed)
    inside = [f for f in inside if f.child in needed]
    kept = {id(factor) for factor in (*group, *inside)}
    factors = tuple(factor for factor in model.factors if id(factor) in kept)
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


def _find_between(model: FactorGraph, group: list[Factor]) -> list[Factor]:
    """The conditionals outside the group that lie on a path from its children to its parents."""
    arrows, inside = Arrows(model.factors), {id(factor) for factor in group}
    parents = {parent for factor in group for parent in factor.parents}
    above = parents | arrows.above(parents)
    between = above & arrows.below({child for factor in group for child in factor.children})
    outside = (f for f in model.factors if isinstance(f, Conditional) and id(f) not in inside)
    return [factor for factor in outside if between & set(factor.children)]


def replaced[M: FactorGraph](
    model: M, inner: M, hidden: Names, rule: Rule, own: Sequence[Callable[..., Any]] = ()
) -> M:
    """The model with the factors inside replaced by their marginal."""
    kept_rules = tuple(Function(propose) for propose in own)
    held = [f for f in inner.factors if not isinstance(f, Deterministic)]
    made = [child for factor in held for child in factor.children]
    visible = tuple(name for name, _ in inner.declared if name in made and name not in hidden)
    reads = tuple((name, name) for name, _ in inner.inputs)
    spaces: dict[str, Space] = {}
    if visible and _is_directed(inner, hidden):
        operation = f"marginalize({quoted(hidden)})"
        free = [name for name in visible if name not in model.observed]
        spaces = {name: _space_outside(operation, model, inner, hidden, name) for name in free}
        factor: Factor = Marginal(
            parts=(inner,),
            rule=rule,
            hidden=hidden,
            made=tuple((name, name) for name in visible),
            read=reads,
            spaces=tuple(spaces.get(name, model.spaces[name]) for name in visible),
            own=kept_rules,
        )
    else:
        factor = MarginalEnergy(inner, rule, hidden, reads + tuple((name, name) for name in visible), kept_rules)
    gone = {id(f) for f in held}
    first = next(i for i, f in enumerate(model.factors) if id(f) in gone)
    kept = [factor if i == first else f for i, f in enumerate(model.factors) if i == first or id(f) not in gone]
    found = dataclasses.replace(
        model, factors=tuple(kept), declared=tuple((n, spaces.get(n, s)) for n, s in model.declared)
    )
    return pruned(found, set(hidden))


def _space_outside(operation: str, model: FactorGraph, inner: FactorGraph, hidden: Names, name: str) -> Space:
    """Where a child lives once the variables that may set its bounds are hidden."""
    space = model.spaces[name]
    found = united_space(inner, hidden, name, visible_shapes(model, inner, (*hidden, name))) if space.dynamic else space
    return fixed_space(operation, name, space) if found is None else found


def _is_directed(inner: FactorGraph, hidden: Names) -> bool:
    """Whether the factors inside are conditionals of different variables, without a cycle."""
    held = [f for f in inner.factors if not isinstance(f, Deterministic)]
    made = [child for factor in held for child in factor.children]
    once = len(set(made)) == len(made) and set(made) >= set(hidden) and not set(inner.narrowed) & set(hidden)
    return once and all(isinstance(f, Conditional) for f in held) and not cycle(inner.factors)


def visible_shapes(model: FactorGraph, inner: FactorGraph, hidden: Names) -> dict[str, Any]:
    """Shapes of what is visible from inside; constants stay numbers."""
    constants = dict(model.constants)
    names = [name for name, _ in (*inner.declared, *inner.inputs)]
    computed = set(inner.deterministic)
    spaces = {**inner.spaces, **dict(inner.inputs)}
    shapes = {n: _abstract(model, n, spaces[n]) for n in names if n not in hidden and n not in computed}
    return {name: constants.get(name, shape) for name, shape in shapes.items()}


def _abstract(model: FactorGraph, name: str, space: Space) -> jax.ShapeDtypeStruct:
    value = model.data.get(name)
    if value is None:
        return abstract(space)
    return jax.ShapeDtypeStruct(np.shape(value), jax.dtypes.canonicalize_dtype(value.dtype))


def _space_of(model: FactorGraph, name: str) -> Space:
    spaces = {**model.spaces, **dict(model.inputs), **{n: p.space for n, p in model.params.items()}}
    return spaces[name] if name in spaces else Real(*np.shape(model.data.get(name, 0.0)))


def quoted(names: Names) -> str:
    """Names as they are written in a call."""
    return listed(names, repr)
