"""The graph of a model: order, cycles, and the `networkx.DiGraph` that users look at."""

import graphlib
from collections.abc import Iterable, Mapping
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


class Arrows:
    """Which variable is made of which, by some factors: looked up once, asked often.

    Args:
        factors: each makes its children of its parents.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> model = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: 2.0 * a, c=lambda b: dist.Normal(b, 1.0))
    >>> sorted(Arrows(model.factors).above(["c"])), sorted(Arrows(model.factors).below(["a"]))
    (['a', 'b'], ['b', 'c'])
    """

    def __init__(self, factors: Iterable[Factor]):
        self._above: dict[str, set[str]] = {}
        self._below: dict[str, set[str]] = {}
        for factor in factors:
            parents, children = factor.parents, factor.children
            for child in children:
                self._above.setdefault(child, set()).update(parents)
            for parent in parents:
                self._below.setdefault(parent, set()).update(children)

    def above(self, names: Iterable[str]) -> set[str]:
        """Every variable from which an arrow leads to one of these, directly or not."""
        return _reached(self._above, names)

    def below(self, names: Iterable[str]) -> set[str]:
        """Every variable to which an arrow leads from one of these, directly or not."""
        return _reached(self._below, names)


def _reached(arrows: Mapping[str, set[str]], names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    stack = list(names)
    while stack:
        new = arrows.get(stack.pop(), set()) - found
        found |= new
        stack += new
    return found


def ancestors(factors: Iterable[Factor], *names: str) -> set[str]:
    """Every variable from which an arrow leads to one of these, directly or not."""
    return Arrows(factors).above(names)


def unique_names(factors: Iterable[Factor]) -> list[str]:
    """Names of the factors, numbered where two are the same."""
    names: dict[str, None] = {}
    for factor in factors:
        name, number = factor.name, 2
        while name in names:
            name, number = f"{factor.name} #{number}", number + 1
        names[name] = None
    return list(names)


def reads_of(model: FactorGraph, names: Iterable[str]) -> set[str]:
    """The names, and everything that is computed from them."""
    names = set(names)
    return names | Arrows(f for f in model.factors if isinstance(f, Deterministic)).below(names)
