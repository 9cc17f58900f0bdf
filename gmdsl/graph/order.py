"""The graph of a model: order, cycles, and the `networkx.DiGraph` that users look at."""

import graphlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gmdsl.core.errors import SpecError
from gmdsl.graph.factor import Deterministic, Factor
from gmdsl.graph.factor_graph import FactorGraph

if TYPE_CHECKING:
    pass


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


def unique_names(factors: Iterable[Factor]) -> list[str]:
    """Names of the factors, numbered where two are the same."""
    names: dict[str, None] = {}
    for factor in factors:
        name, number = factor.name, 2
        while name in names:
            name, number = f"{factor.name} #{number}", number + 1
        names[name] = None
    return list(names)


def reads_of(model: FactorGraph, names: tuple[str, ...]) -> set[str]:
    """The names, and everything that is computed from them."""
    found, size = set(names), -1
    while size < len(found):
        size = len(found)
        found |= {f.child for f in model.factors if isinstance(f, Deterministic) and found & set(f.parents)}
    return found
