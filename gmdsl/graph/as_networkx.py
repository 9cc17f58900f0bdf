"""The graph that users look at: a `networkx.DiGraph` of variables and factors."""

from typing import TYPE_CHECKING

from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Factor, Undirected
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.order import unique_names

if TYPE_CHECKING:
    import networkx


def as_networkx(model: FactorGraph) -> "networkx.DiGraph":
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


def _role(factor: Factor) -> str:
    if isinstance(factor, Undirected):
        return "energy"
    return "deterministic" if isinstance(factor, Deterministic) else "conditional"


def _capability(factor: Factor) -> str:
    if isinstance(factor, Conditional):
        return ("normalized" if factor.normalized else "improper") + (", drawable" if factor.drawable else "")
    return "unnormalized" if isinstance(factor, Undirected) else "computed"
