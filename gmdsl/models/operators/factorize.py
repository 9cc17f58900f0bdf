r"""Reading the graph: factorisation, intervention, independence.

A directed joint is the product of its conditionals, $p(x, y) = p(x)\, p(y \mid x)$. An intervention cuts the
arrows into a variable and sets its value, which is not conditioning. Independence is read off the graph by
d-separation; an energy counts as an observed common child of what it reads.

Reference:
    Pearl, *Causality*, 2009 (interventions); Koller, Friedman, *Probabilistic Graphical Models*, 2009, section 3.3.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

from gmdsl.core.errors import SpecError
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Undirected
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.order import ordered


def factorize(model: FactorGraph) -> list[Any]:
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
    return [_isolate(model, factor) for factor in ordered(model.factors) if isinstance(factor, Conditional)]


def _isolate[M: FactorGraph](model: M, factor: Conditional) -> M:
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
