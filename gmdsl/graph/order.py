"""The graph of a model: order, cycles, and the `networkx.DiGraph` that users look at."""

import graphlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gmdsl.core.errors import SpecError
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Factor, Undirected

if TYPE_CHECKING:
    import networkx


def ordered(factors: Iterable[Factor]) -> list[Factor]:
    """Conditionals and deterministics with parents before children, then the energies.

    Raises:
        SpecError: the factors have a cycle; the message prints it.
    """
    factors = list(factors)
    loop = cycle(factors)
    if loop:
        raise SpecError(f"joint(...): the variables form a cycle, {' -> '.join(loop)}. Break it at one arrow.")
    rank = {name: i for i, name in enumerate(graphlib.TopologicalSorter(_parents(factors)).static_order())}
    directed = [f for f in factors if f.children]
    directed.sort(key=lambda f: min(rank[c] for c in f.children))
    return directed + [f for f in factors if not f.children]


def cycle(factors: Iterable[Factor]) -> list[str] | None:
    """Names along a directed cycle, the first one repeated at the end; None when there is none."""
    sorter = graphlib.TopologicalSorter(_parents(factors))
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return None


def _parents(factors: Iterable[Factor]) -> dict[str, set[str]]:
    above: dict[str, set[str]] = {}
    for factor in factors:
        for child in factor.children:
            above.setdefault(child, set()).update(factor.parents)
    return above


def ancestors(factors: Iterable[Factor], name: str) -> set[str]:
    """Every variable from which an arrow leads to `name`, directly or not."""
    above, found, stack = _parents(factors), set(), [name]
    while stack:
        for parent in above.get(stack.pop(), ()):
            if parent not in found:
                found.add(parent)
                stack.append(parent)
    return found


def factor_graph(model: Any) -> "networkx.DiGraph":
    """Variables and factors as nodes; arrows parent -> factor -> child, and x -> energy.

    Node attributes: `kind` ("variable" or "factor"), `role` (free, observed, deterministic, data,
    parameter, input, constant; or energy, conditional, deterministic), `space`, `label`, and
    `capability` of factors.
    """
    import networkx

    graph = networkx.DiGraph()
    for name, space in model.declared:
        role = "deterministic" if name in model.deterministic else "observed" if name in model.observed else "free"
        graph.add_node(name, kind="variable", role=role, space=space.title, label=name)
    constants = [("data", model.data), ("constant", dict(model.constants))]
    for role, nodes in constants:
        for name, value in nodes.items():
            shape = getattr(value, "shape", ())
            graph.add_node(name, kind="variable", role=role, space=f"{role}{list(shape) or ''}", label=name)
    for role, pairs in (("parameter", [(n, p.space) for n, p in model.params.items()]), ("input", model.inputs)):
        for name, space in pairs:
            graph.add_node(name, kind="variable", role=role, space=space.title, label=name)
    for factor, label in zip(model.factors, unique_names(model.factors), strict=True):
        graph.add_node(label, kind="factor", role=_role(factor), label=factor.name, capability=_capability(factor))
        graph.add_edges_from((parent, label) for parent in factor.parents)
        graph.add_edges_from((label, child) for child in factor.children)
    return graph


def unique_names(factors: Iterable[Factor]) -> list[str]:
    """Names of the factors, numbered where two are the same."""
    names: list[str] = []
    for factor in factors:
        name, number = factor.name, 2
        while name in names:
            name, number = f"{factor.name} #{number}", number + 1
        names.append(name)
    return names


def _role(factor: Factor) -> str:
    if isinstance(factor, Undirected):
        return "energy"
    return "deterministic" if isinstance(factor, Deterministic) else "conditional"


def _capability(factor: Factor) -> str:
    if isinstance(factor, Conditional):
        return ("normalized" if factor.normalized else "improper") + (", drawable" if factor.drawable else "")
    return "unnormalized" if isinstance(factor, Undirected) else "computed"
