import xml.etree.ElementTree as ElementTree

import jax.numpy as jnp
import networkx
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.graph.order import unique_names
from gmdsl.models.formula import formula
from gmdsl.models.render import picture, positions


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
    for node, attributes in graph.nodes(data=True):
        factor = dict(zip(unique_names(model.factors), model.factors, strict=True)).get(node)
        label = node if factor is None else formula(model, factor) or attributes["label"]
        assert f'"{label}' in text
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


def normal(mean):
    return dist.Normal(mean, 1.0)


MODELS = {
    "long names": lambda: gm.joint(
        between_school_deviation=dist.HalfNormal(1.0), mean_effect_over_all_schools=dist.Normal(0.0, 1.0),
        effect=lambda mean_effect_over_all_schools, between_school_deviation: dist.Normal(
            mean_effect_over_all_schools, between_school_deviation
        ),
        average_effect_of_the_coaching=lambda effect: 2.0 * effect,
        y=lambda effect, standard_errors_of_the_schools: dist.Normal(effect, standard_errors_of_the_schools),
        standard_errors_of_the_schools=gm.data(1.0), another_node_with_a_name_of_more_than_thirty_two_letters=2.0,
    ),
    "marginal": lambda: gm.joint(
        mu=normal(0.0), z=lambda mu: normal(mu), x=lambda z: normal(z), y=lambda x, mu: normal(x + mu)
    ).marginalize("z"),
    "marginal energy": lambda: (
        gm.joint(k=dist.Bernoulli(0.4)) * gm.energy(lambda k, x: (x - k) ** 2, k=gm.Binary(), x=gm.Real())
    ).marginalize("k"),
    "mixture": lambda: gm.mixture([0.3, 0.7], gm.joint(x=normal(0.0)), gm.joint(x=normal(2.0)))
    * gm.joint(x=gm.input(gm.Real()), y=lambda x: normal(x)),
    "power": lambda: gm.joint(mu=normal(0.0), y=lambda mu: normal(mu)).condition(y=1.0) ** 0.5
    * gm.energy(lambda mu: mu**2, mu=gm.Real()),
    "histogram": lambda: gm.histogram({"a": np.arange(9.0), "b": np.arange(9.0) ** 2}, bins={"a": 3, "b": 3}),
    "weighted": lambda: gm.joint(mu=normal(0.0), x=gm.data(np.ones(3)), y=lambda mu, x: normal(mu * x))
    .condition(y=[1.0, 2.0, 3.0])
    .weight(y=[1.0, 0.0, 2.0]),
    "scan": lambda: gm.joint(
        phi=dist.Uniform(-1.0, 1.0), x=gm.scan(lambda x, phi: normal(phi * x), first=normal(0.0), length=4),
        y=lambda x: normal(x),
    ),
    "missing": lambda: gm.joint(mu=normal(0.0), y=lambda mu: dist.Normal(mu, 1.0).expand([2])).condition(
        y=[1.0, np.nan], missing="marginalise"
    ),
    "empirical": lambda: gm.empirical(x=np.arange(3.0)) * gm.joint(x=gm.input(gm.Real()), y=lambda x: normal(x)),
    "cycle": lambda: gm.joint(x=gm.input(gm.Real()), y=lambda x: normal(x)) * gm.joint(
        y=gm.input(gm.Real()), x=lambda y: normal(jnp.tanh(y))
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_no_label_runs_into_another_or_out_of_the_picture(kind):
    graph = MODELS[kind]().graph
    figure = picture(graph)
    (axes,) = figure.axes
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == graph.number_of_nodes()
    whole = figure.bbox
    for i, box in enumerate(boxes):
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert not any(box.overlaps(other) for other in boxes[:i])
    shapes = [patch.get_window_extent() for patch in axes.patches]
    labels = [text for text in axes.texts if text.get_ha() == "center" and text.get_text()]
    for text in labels:  # the name of a variable is inside its shape, and no label lies on a shape that is not its own
        box = text.get_window_extent()
        assert any(shape.x0 <= box.x0 and box.x1 <= shape.x1 and shape.y0 <= box.y0 <= shape.y1 for shape in shapes)
    for text in axes.texts:
        if text.get_text():
            box = text.get_window_extent()
            assert sum(shape.overlaps(box) for shape in shapes) == (text in labels)


def test_a_path_may_come_first_and_what_is_no_model_is_named(tmp_path):
    model = gm.joint(x=dist.Normal(0.0, 1.0))
    assert gm.render(tmp_path / "a.mmd", model) == gm.render(model) == (tmp_path / "a.mmd").read_text()
    with pytest.raises(gm.SpecError, match=r"render\(...\): the path of a file is needed, and int and Model"):
        gm.render(model, 3)
    with pytest.raises(gm.SpecError, match=r"render\(...\): a model is needed first, not float"):
        gm.render(3.0)
