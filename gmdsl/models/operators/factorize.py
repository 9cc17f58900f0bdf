r"""Reading the graph: factorisation, intervention, independence.

A directed joint is the product of its conditionals, $p(x, y) = p(x)\, p(y \mid x)$. An intervention cuts the
arrows into a variable and sets its value, which is not conditioning. Independence is read off the graph by
d-separation; an energy counts as an observed common child of what it reads.

Reference:
    Pearl, *Causality*, 2009 (interventions); Koller, Friedman, *Probabilistic Graphical Models*, 2009, section 3.3.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Undirected
from gmdsl.graph.order import ordered
from gmdsl.models.operators.condition import checked


def factorize(model: Any) -> list[Any]:
    """The conditionals of a directed model as models with inputs, parents first; their product is the model.

    Raises:
        SpecError: the model has an undirected term, or a variable with two definitions.
    """
    made: list[str] = []
    for factor in model.factors:
        if isinstance(factor, Undirected):
            raise SpecError(
                f"factorize(): {factor.name} is undirected, so the joint is not a product of conditionals."
                " Its factors are model.factors."
            )
        twice = [name for name in factor.children if name in made]
        if twice:
            raise SpecError(f"factorize(): {twice[0]} has two definitions, so neither is its conditional.")
        made.extend(factor.children)
    return [_alone(model, factor) for factor in ordered(model.factors) if isinstance(factor, Conditional)]


def do(model: Any, values: Mapping[str, Any]) -> Any:
    """The model in which some variables are set from outside: what defined them is cut, they become data.

    Raises:
        SpecError: an unknown name, a value outside the support, a variable without a definition of its own.
    """
    for name, value in values.items():
        operation = f"do({name}=...)"
        if name not in model.spaces:
            raise unknown_name(operation, name, model.spaces)
        makers = [factor for factor in model.factors if name in factor.children]
        if len(makers) != 1 or len(makers[0].children) != 1:
            why = "no arrow leads to it" if not makers else f"{makers[0].name} defines it together with others"
            raise SpecError(f"{operation}: {why}, so there is nothing to cut. Use .condition({name}=...).")
        if name in model.observed:
            raise SpecError(f"{operation}: {name} is observed already. Intervene first, then condition on the rest.")
        fixed = checked(operation, name, model.spaces[name], value)
        model = dataclasses.replace(
            model,
            factors=tuple(factor for factor in model.factors if factor is not makers[0]),
            declared=tuple(pair for pair in model.declared if pair[0] != name),
            data={**model.data, name: fixed},
            bound=(*model.bound, (name, model.spaces[name])),
            narrowed=tuple(other for other in model.narrowed if other != name),
        )
    return model


def independent(model: Any, first: Any, second: Any, given: Any = ()) -> bool:
    """Whether the graph makes two sets of variables independent given a third and what is observed.

    Raises:
        SpecError: unknown names, sets that overlap, or a graph with a cycle.
    """
    import networkx

    sets = [(names,) if isinstance(names, str) else tuple(names) for names in (first, second, given)]
    for name in (name for names in sets for name in names):
        if name not in model.spaces:
            raise unknown_name("independent(...)", name, model.spaces)
    left, right, known = map(set, sets)
    if left & right or (left | right) & known or not left or not right:
        raise SpecError("independent(...): the sets overlap, or one is empty. Give different variables to each.")
    graph = networkx.DiGraph()
    graph.add_nodes_from(model.spaces)
    seen = known | (set(model.observed) - left - right)
    for number, factor in enumerate(ordered(model.factors)):
        parents = [name for name in factor.parents if name in model.spaces]
        if isinstance(factor, Undirected):
            graph.add_edges_from((name, ("term", number)) for name in parents)
            seen |= {("term", number)} if parents else set()
        elif len(factor.children) == 1:
            graph.add_edges_from((name, factor.children[0]) for name in parents)
        else:  # children of one factor depend on each other: a hidden common parent below the parents
            graph.add_edges_from((name, ("joint", number)) for name in parents)
            graph.add_edges_from((("joint", number), child) for child in factor.children)
    return bool(networkx.is_d_separator(graph, left, right, seen - left - right))


def _alone(model: Any, factor: Conditional) -> Any:
    """One conditional with the deterministics it reads, random parents as inputs."""
    computed = {f.child: f for f in model.factors if isinstance(f, Deterministic)}
    needed, stack, names = [], list(factor.parents), set(factor.children)
    while stack:
        name = stack.pop()
        if name not in names:
            names.add(name)
            if name in computed:
                needed.append(computed[name])
                stack.extend(computed[name].parents)
    parents = {name: space for name, space in model.declared if name in names}
    inside = {*factor.children, *(f.child for f in needed)}
    inputs = {name: space for name, space in parents.items() if name not in inside}
    inputs |= {name: space for name, space in model.inputs if name in names}
    kept = lambda mapping: {name: value for name, value in mapping.items() if name in names}  # noqa: E731
    return dataclasses.replace(
        model,
        factors=tuple(f for f in model.factors if f is factor or any(f is other for other in needed)),
        declared=tuple(pair for pair in model.declared if pair[0] in inside),
        data=kept(model.data),
        params=kept(model.params),
        observed={name: value for name, value in model.observed.items() if name in factor.children},
        inputs=tuple(inputs.items()),
        constants=tuple(kept(dict(model.constants)).items()),
        bound=tuple(pair for pair in model.bound if pair[0] in names),
        narrowed=tuple(name for name in model.narrowed if name in inside),
        dims=_of(model.dims, names),
    )


def _of(pairs: Iterable[tuple[str, Any]], names: set[str]) -> tuple[tuple[str, Any], ...]:
    return tuple(pair for pair in pairs if pair[0] in names)
