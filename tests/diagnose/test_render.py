import xml.etree.ElementTree as ElementTree

import networkx
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diagnose.render import positions


@pytest.fixture
def model():
    return gm.joint(
        mu=dist.Normal(0, 1),
        t=lambda mu: 2 * mu,
        y=lambda t, s: dist.Normal(t, s),
        s=gm.data(1.0),
    ).condition(y=0.0) * gm.energy(lambda mu: mu**2, mu=gm.Real())


def test_mermaid_text_has_every_node_and_arrow(model):
    text = gm.render(model)
    graph = model.graph
    assert text.splitlines()[0] == "graph TD"
    assert sum("-->" in line or "---" in line for line in text.splitlines()) == graph.number_of_edges()
    for node in graph:
        assert f'"{node}"' in text
    assert "fill:#b8cfe5" in text


def test_children_are_drawn_below_their_parents(model):
    graph = model.graph
    at = positions(graph)
    assert all(at[start][1] > at[end][1] for start, end in graph.edges)
    assert len(set(at.values())) == graph.number_of_nodes()


def test_pictures_are_written_in_the_format_of_the_suffix(model, tmp_path):
    gm.render(model, tmp_path / "m.png")
    assert (tmp_path / "m.png").read_bytes()[:4] == b"\x89PNG"
    gm.render(model, tmp_path / "m.svg")
    assert ElementTree.parse(tmp_path / "m.svg").getroot().tag.endswith("svg")
    gm.render(model, tmp_path / "m.mmd")
    assert (tmp_path / "m.mmd").read_text() == gm.render(model)
    with pytest.raises(gm.SpecError, match="suffix '.gif'"):
        gm.render(model, tmp_path / "m.gif")


def test_a_cyclic_product_has_a_picture_too(tmp_path):
    left = gm.joint(x=gm.input(gm.Real()), y=lambda x: dist.Normal(x, 1.0))
    right = gm.joint(y=gm.input(gm.Real()), x=lambda y: dist.Normal(y, 2.0))
    graph = (left * right).graph
    assert not networkx.is_directed_acyclic_graph(graph)
    assert len(set(positions(graph).values())) == 4
