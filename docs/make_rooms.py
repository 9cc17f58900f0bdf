"""Makes the picture of the rooms in the design: which there are, how large they are, and what each imports.

It is read off the code: the layers from `pyproject.toml`, the sizes and the imports from the files. Arrows that follow
from others are left out.
"""

import ast
import pathlib
import textwrap
import tomllib

import matplotlib.pyplot as plt
import networkx

ROOT = pathlib.Path(__file__).parent.parent
LEFT_OUT = {"cli", "demo"}


def layers():
    """The rooms from the top floor down, as rows of names."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if contract["name"] == "rooms")
    names = [[name.strip().removeprefix("gmdsl.") for name in row.split("|")] for row in rows]
    return [row for row in names if not set(row) & LEFT_OUT]


def imports(room):
    """The other rooms that the files of a room import, those for types included."""
    found = set()
    for path in (ROOT / "gmdsl" / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gmdsl."):
                found.add(node.module.split(".")[1])
    return found - {room}


def label(room):
    files = [path for path in (ROOT / "gmdsl" / room).rglob("*.py") if path.name != "__init__.py"]
    says = ast.get_docstring(ast.parse((ROOT / "gmdsl" / room / "__init__.py").read_text())).split("\n")[0]
    lines = sum(len(path.read_text().splitlines()) for path in files)
    says = textwrap.fill(says.rstrip("."), 36, max_lines=3, placeholder=" ...")
    return f"{room}/", f"{len(files)} files, {lines} lines\n{says}"


rows = layers()
rooms = [room for row in rows for room in row]
graph = networkx.DiGraph((room, other) for room in rooms for other in imports(room) if other in rooms)
graph = networkx.transitive_reduction(graph)
figure, axes = plt.subplots(figsize=(14, 13))
places = {}
for height, row in enumerate(reversed(rows)):
    for number, room in enumerate(row):
        x = 15 * (number + 0.5) / len(row)
        places[room] = (x, 2.0 * height)
for start, end in graph.edges:
    (x, y), (u, v) = places[start], places[end]
    style = {"arrowstyle": "-|>", "color": "#9aa5b1", "lw": 1.1, "shrinkA": 4, "shrinkB": 4}
    axes.annotate("", (u, v + 0.7), (x, y - 0.7), arrowprops=style, zorder=1)
for room, (x, y) in places.items():
    title, text = label(room)
    box = plt.Rectangle((x - 1.42, y - 0.7), 2.84, 1.4, facecolor="#eef3f8", edgecolor="#33475b", zorder=2)
    axes.add_patch(box)
    axes.text(x, y + 0.5, title, ha="center", va="center", weight="bold", fontsize=10, zorder=3)
    axes.text(x, y - 0.15, text, ha="center", va="center", fontsize=7.2, zorder=3)
axes.set_xlim(0, 15)
axes.set_ylim(-0.9, 2.0 * len(rows) - 1.1)
axes.axis("off")
figure.tight_layout()
figure.savefig(ROOT / "docs" / "_static" / "rooms.png", dpi=100)
