"""Independence that the graph shows (d-separation)."""

from collections.abc import Sequence
from typing import Any

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.graph.factor import Undirected
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.order import ordered


def independent(model: FactorGraph, first: str | Sequence[str], second: str | Sequence[str], given: Any = ()) -> bool:
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
    seen: set[Any] = known | (set(model.observed) - left - right)
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
