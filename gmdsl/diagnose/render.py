"""`gm.render`: a picture of a model, as SVG, PNG or Mermaid text, without graphviz.

Circles are variables (filled when observed, dashed when computed), plain names are constants, small
squares are factors. Arrows go from parents through a factor to its child.
"""

import pathlib
from typing import Any

from gmdsl.core.errors import SpecError
from gmdsl.core.model import Model

COLORS = {"free": "#ffffff", "observed": "#b8cfe5", "deterministic": "#ffffff", "energy": "#c44e52"}


def render(model: Model, path: Any = None) -> str:
    """Draws the graph of a model.

    Args:
        model: what to draw.
        path: a file name; `.svg`, `.png`, `.pdf` give a picture, `.mmd` or `.md` Mermaid text. None writes nothing.

    Returns:
        The Mermaid text.

    Raises:
        SpecError: another suffix.

    >>> import gmdsl as gm
    >>> print(gm.render(gm.energy(lambda x: x @ x, x=gm.Real(2))))
    graph TD
      v0(("x"))
      f0["energy(x)"]
      v0 --- f0
    """
    graph = model.graph
    text = _mermaid(graph)
    if path is None:
        return text
    path = pathlib.Path(path)
    if path.suffix in (".mmd", ".md"):
        path.write_text(text if path.suffix == ".mmd" else f"```mermaid\n{text}\n```\n")
    elif path.suffix in (".svg", ".png", ".pdf"):
        _picture(graph).savefig(path, bbox_inches="tight", dpi=150)
    else:
        raise SpecError(f"render({str(path)!r}): suffix {path.suffix!r}. Use .svg, .png, .pdf, .mmd or .md.")
    return text


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
    """Where the nodes go: one row per generation, each node near the middle of its parents."""
    import networkx

    if not networkx.is_directed_acyclic_graph(graph):
        return {node: (3.0 * x, 3.0 * y) for node, (x, y) in networkx.circular_layout(graph).items()}
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
        for i, node in enumerate(nodes):
            x[node] = 1.6 * (i - (len(nodes) - 1) / 2)
    return {node: (x[node], -float(level[node])) for node in graph}


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
    for start, end in graph.edges:
        _edge(axes, at[start], at[end], graph.nodes[start]["kind"], graph.nodes[end])
    for node, attributes in graph.nodes(data=True):
        _node(axes, at[node], attributes)
    xs, ys = zip(*at.values(), strict=True)
    axes.set_xlim(min(xs) - 1.2, max(xs) + 2.2)
    axes.set_ylim(min(ys) - 0.6, max(ys) + 0.6)


def _picture(graph: Any) -> Any:
    from matplotlib.figure import Figure

    at = positions(graph)
    width = max(x for x, _ in at.values()) - min(x for x, _ in at.values()) + 3.4
    height = max(y for _, y in at.values()) - min(y for _, y in at.values()) + 1.2
    figure = Figure(figsize=(0.85 * width, 0.8 * height))
    draw_graph(graph, figure.add_subplot())
    return figure


def _node(axes: Any, at: tuple[float, float], attributes: dict[str, Any]) -> None:
    from matplotlib.patches import Circle, Rectangle

    x, y = at
    role = attributes["role"]
    if attributes["kind"] == "factor":
        color = COLORS["energy"] if role == "energy" else "#444444"
        axes.add_patch(Rectangle((x - 0.09, y - 0.09), 0.18, 0.18, color=color, zorder=3))
        axes.text(x + 0.17, y, attributes["label"], fontsize=7, color="#555555", va="center", zorder=4)
        return
    if role in ("free", "observed", "deterministic"):
        style = "--" if role == "deterministic" else "-"
        patch = Circle((x, y), 0.33, facecolor=COLORS[role], edgecolor="#222222", linestyle=style, zorder=3)
    else:
        patch = Rectangle((x - 0.38, y - 0.2), 0.76, 0.4, facecolor="#eeeeee", edgecolor="none", zorder=3)
    axes.add_patch(patch)
    axes.text(x, y, attributes["label"], fontsize=9, ha="center", va="center", zorder=4)


def _edge(axes: Any, start: Any, end: Any, kind: str, target: dict[str, Any]) -> None:
    arrow = "-" if target["role"] == "energy" else "-|>"
    near, far = (10, 3) if kind == "variable" else (3, 12)
    style = {"arrowstyle": arrow, "color": "#777777", "shrinkA": near, "shrinkB": far, "linewidth": 0.9}
    axes.annotate("", xy=end, xytext=start, arrowprops=style, zorder=1)
