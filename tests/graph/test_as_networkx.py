import networkx
import numpyro.distributions as dist

import gmdsl as gm


def test_the_graph_is_a_networkx_digraph_with_roles(model):
    graph = model.graph
    assert isinstance(graph, networkx.DiGraph)
    assert networkx.is_directed_acyclic_graph(graph)
    assert graph.nodes["y"]["role"] == "observed"
    assert graph.nodes["sigma"]["role"] == "data"
    assert graph.nodes["tau"]["space"] == "Positive()"
    assert graph.nodes["p(theta | mu, tau)"]["capability"] == "normalized, drawable"
    assert set(graph.predecessors("p(theta | mu, tau)")) == {"mu", "tau"}
    assert networkx.has_path(graph, "mu", "y")


def test_an_energy_has_no_children_in_the_graph():
    graph = gm.energy(lambda x, y: x * y, x=gm.Real(), y=gm.Real(), name="bond").graph
    assert list(graph.successors("bond(x, y)")) == []
    assert graph.nodes["bond(x, y)"]["role"] == "energy"


def test_every_kind_of_node_has_its_role_and_factors_of_one_name_stay_apart():
    model = gm.joint(
        p=gm.param(1.0, gm.Positive()), i=gm.input(gm.Real(2)), n=3.0, x=lambda p, i, n: dist.Normal(n * i, p),
        total=lambda x: x.sum(),
    )  # fmt: skip
    nodes = (
        model * gm.energy(lambda x: x @ x, x=gm.Real(2)) * gm.energy(lambda x: 2 * x @ x, x=gm.Real(2))
    ).graph.nodes
    variables = {name: node["role"] for name, node in nodes.items() if node["kind"] == "variable"}
    assert variables == {
        "p": "parameter", "i": "input", "n": "constant", "x": "free", "total": "deterministic"
    }  # fmt: skip
    factors = [(node["role"], node["capability"]) for node in nodes.values() if node["kind"] == "factor"]
    assert sorted(factors) == [
        ("conditional", "normalized, drawable"),
        ("deterministic", "computed"),
        ("energy", "unnormalized"),
        ("energy", "unnormalized"),
    ]
