"""`gm.render`: a picture of a model, as SVG, PNG or Mermaid text, without graphviz.

Circles, wider for longer names, are variables (filled when observed, dashed when computed), plain names are constants,
small squares are factors. Arrows go from parents through a factor to its child.
"""

import itertools
import pathlib
from typing import Any

from gmdsl.core.errors import SpecError
from gmdsl.core.file_paths import is_path, path_and_thing
from gmdsl.graph.order import unique_names
from gmdsl.models.formula import formula, sizes
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model

RADIUS = 0.33  # of a variable; the unit is the distance of two generations
LETTER = {"variable": 0.105, "factor": 0.082}  # width of a letter, on average
LONGEST = 32  # letters of a label in a picture
COLORS = {"free": "#ffffff", "observed": "#b8cfe5", "deterministic": "#ffffff", "energy": "#c44e52"}


def render(model: Model, path: Any = None) -> str:
    """Draws the graph of a model.

    Args:
        model: what to draw.
        path: a file name; `.svg`, `.png`, `.pdf` give a picture, `.mmd` or `.md` Mermaid text. None writes nothing.

    Returns:
        The Mermaid text.

    Raises:
        SpecError: another suffix, no model, or no path.

    >>> import gmdsl as gm
    >>> print(gm.render(gm.energy(lambda x: x @ x, x=gm.Real(2))))
    graph TD
      v0(("x (2)"))
      f0["energy(x)"]
      v0 --- f0
    """
    if is_path(model) or path is not None:
        path, model = path_and_thing("render", 'gm.render(model, "model.svg")', path, model)
    if not isinstance(model, Model):
        raise SpecError(f"render(...): a model is needed first, not {mistaken(model)}. Make one by gm.joint.")
    graph = _with_laws(model)
    text = _mermaid(graph)
    if path is None:
        return text
    path = pathlib.Path(path)
    if path.suffix in (".mmd", ".md"):
        path.write_text(text if path.suffix == ".mmd" else f"```mermaid\n{text}\n```\n")
    elif path.suffix in (".svg", ".png", ".pdf"):
        picture(graph).savefig(path, bbox_inches="tight", dpi=150)
    else:
        raise SpecError(f"render({str(path)!r}): suffix {path.suffix!r}. Use .svg, .png, .pdf, .mmd or .md.")
    return text


def _with_laws(model: Model) -> Any:
    """The graph with the law of each conditional as its label, and the sizes of variables beside their names."""
    graph = model.graph
    for factor, node in zip(model.factors, unique_names(model.factors), strict=True):
        graph.nodes[node]["label"] = formula(model, factor) or graph.nodes[node]["label"]
    for name in model.spaces:
        graph.nodes[name]["label"] += sizes(model, name)
    return graph


def _mermaid(graph: Any) -> str:
    names, lines = {}, ["graph TD"]
    counts = {"variable": 0, "factor": 0}
    for node, attributes in graph.nodes(data=True):
        kind = attributes["kind"]
        names[node] = f"{kind[0]}{counts[kind]}"
        counts[kind] += 1
        label = attributes["label"].replace('"', "'")
        left, right = ('["', '"]') if kind == "factor" else ('(("', '"))')
        if attributes["role"] in ("data", "constant", "parameter", "input"):
            left, right = '("', '")'
        lines.append(f"  {names[node]}{left}{label}{right}")
    for start, end in graph.edges:
        arrow = "---" if graph.nodes[end]["role"] == "energy" else "-->"
        lines.append(f"  {names[start]} {arrow} {names[end]}")
    observed = [names[n] for n, a in graph.nodes(data=True) if a["role"] == "observed"]
    lines += [f"  style {name} fill:{COLORS['observed']}" for name in observed]
    return "\n".join(lines)


def positions(graph: Any) -> dict[str, tuple[float, float]]:
    """Where the nodes go: one row per generation, each near the middle of its children, labels side by side."""
    import networkx

    if not networkx.is_directed_acyclic_graph(graph):
        wide = max(3.0, *(sum(_reach(attributes)) for _, attributes in graph.nodes(data=True)))
        return {node: (wide * x, 3.0 * y) for node, (x, y) in networkx.circular_layout(graph).items()}
    level: dict[str, int] = {}
    for node in networkx.topological_sort(graph):
        level[node] = max((level[p] + 1 for p in graph.predecessors(node)), default=0)
    for node in reversed(list(networkx.topological_sort(graph))):
        below = [level[c] for c in graph.successors(node)]
        if below:
            level[node] = min(below) - 1
    rows: dict[int, list[str]] = {}
    for node, row in level.items():
        rows.setdefault(row, []).append(node)
    x: dict[str, float] = {}
    for row in sorted(rows, reverse=True):
        nodes = rows[row]
        middle = {n: _mean([x[c] for c in graph.successors(n) if c in x]) for n in nodes}
        nodes.sort(key=lambda n: middle[n])
        reach = [_reach(graph.nodes[n]) for n in nodes]
        at = [0.0]
        for (_, right), (left, _) in itertools.pairwise(reach):
            at.append(at[-1] + max(1.6, right + 0.25 + left))
        x |= {node: place - at[-1] / 2 for node, place in zip(nodes, at, strict=True)}
    return {node: (x[node], -float(level[node])) for node in graph}


def _reach(attributes: dict[str, Any]) -> tuple[float, float]:
    """How far a node and its label go to the left and to the right."""
    wide = LETTER[attributes["kind"]] * len(_label(attributes))
    if attributes["kind"] == "factor":
        return 0.09, 0.17 + wide
    half = max(RADIUS, wide / 2 + 0.1)
    return half, half


def _label(attributes: dict[str, Any]) -> str:
    label = attributes["label"]
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _limits(graph: Any, at: dict[str, tuple[float, float]]) -> tuple[float, float, float, float]:
    """The left, right, lower and upper end of a picture."""
    reach = {node: _reach(attributes) for node, attributes in graph.nodes(data=True)}
    left, right = min(at[n][0] - reach[n][0] for n in at), max(at[n][0] + reach[n][1] for n in at)
    heights = [y for _, y in at.values()]
    return left - 0.3, right + 0.3, min(heights) - 0.6, max(heights) + 0.6


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def draw_graph(graph: Any, axes: Any) -> None:
    """Draws the graph of a model on Matplotlib axes.

    Args:
        graph: `model.graph`.
        axes: where to draw; its limits and frame are set.
    """
    at = positions(graph)
    axes.set_aspect("equal")
    axes.axis("off")
    drawn = {node: _node(axes, at[node], attributes) for node, attributes in graph.nodes(data=True)}
    for start, end in graph.edges:
        arrow = "-" if graph.nodes[end]["role"] == "energy" else "-|>"
        style = {"arrowstyle": arrow, "color": "#777777", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
        style |= {"patchA": drawn[start], "patchB": drawn[end]}  # an arrow ends at the rim of what it points to
        axes.annotate("", xy=at[end], xytext=at[start], arrowprops=style, zorder=1)
    left, right, low, high = _limits(graph, at)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)


def picture(graph: Any) -> Any:
    """The graph of a model as a Matplotlib figure."""
    from matplotlib.figure import Figure

    left, right, low, high = _limits(graph, positions(graph))
    figure = Figure(figsize=(0.8 * (right - left), 0.8 * (high - low)))
    draw_graph(graph, figure.add_axes((0.0, 0.0, 1.0, 1.0)))
    return figure


def _node(axes: Any, at: tuple[float, float], attributes: dict[str, Any]) -> Any:
    from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

    x, y = at
    role, half = attributes["role"], _reach(attributes)[0]
    if attributes["kind"] == "factor":
        color = COLORS["energy"] if role == "energy" else "#444444"
        patch = axes.add_patch(Rectangle((x - 0.09, y - 0.09), 0.18, 0.18, color=color, zorder=3))
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # no arrow runs through a label
        axes.text(x + 0.17, y, _label(attributes), fontsize=7, color="#555555", va="center", bbox=ground, zorder=2)
        return patch
    if role in ("free", "observed", "deterministic"):
        look: dict[str, Any] = {"facecolor": COLORS[role], "edgecolor": "#222222", "zorder": 3}
        look["linestyle"] = "--" if role == "deterministic" else "-"
        if half == RADIUS:
            patch = Circle((x, y), RADIUS, **look)
        else:
            shape = f"round,pad=0,rounding_size={RADIUS}"
            patch = FancyBboxPatch((x - half, y - RADIUS), 2 * half, 2 * RADIUS, boxstyle=shape, **look)
    else:
        patch = Rectangle((x - half, y - 0.2), 2 * half, 0.4, facecolor="#eeeeee", edgecolor="none", zorder=3)
    axes.text(x, y, _label(attributes), fontsize=9, ha="center", va="center", zorder=4)
    return axes.add_patch(patch)
