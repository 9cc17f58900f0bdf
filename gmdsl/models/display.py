"""How a model is shown: as text, as tables for notebooks (HTML) and for terminals (rich)."""

import html
from collections.abc import Sequence
from typing import Any

from gmdsl.graph.as_networkx import as_networkx
from gmdsl.graph.factor_graph import FactorGraph

type Rows = list[tuple[str, ...]]

VARIABLES = ("variable", "role", "space")
FACTORS = ("factor", "kind", "offers")


def text(model: FactorGraph) -> str:
    """The factors, then each name with where it lives and what it is."""
    from gmdsl.models.formula import formula  # with all distributions, which an energy need not have

    laws = [(factor.name, formula(model, factor)) for factor in model.factors]
    width = max((len(name) for name, law in laws if law), default=0)
    lines = [f"{name:<{width}}  {law}".rstrip() for name, law in laws]
    axes = dict(model.dims)
    for name, space in model.declared:
        role = "observed" if name in model.observed else "computed" if name in model.deterministic else "free"
        along = f", {' x '.join(axes[name])}" if name in axes else ""
        lines.append(f"  {name}: {space.title}, {role}{along}")
    for name, value in model.data.items():
        along = f", {' x '.join(axes[name])}" if name in axes else ""
        lines.append(f"  {name}: data {getattr(value, 'shape', ())}{along}")
    lines += [f"  {name}: {value}" for name, value in model.constants]
    lines += [f"  {name}: parameter in {p.space.title}" for name, p in model.params.items()]
    lines += [f"  {name}: input in {space.title}" for name, space in model.inputs]
    return "Model\n" + "\n".join(lines)


def rows(model: FactorGraph) -> tuple[Rows, Rows]:
    """The rows of the tables of variables and of factors."""
    from gmdsl.models.formula import formula

    nodes, axes = as_networkx(model).nodes(data=True), dict(model.dims)
    along = {name: f", {' x '.join(labels)}" for name, labels in axes.items()}
    held = [(name, a) for name, a in nodes if a["kind"] == "variable"]
    variables: Rows = [(name, a["role"], f"{a['space']}{along.get(name, '')}") for name, a in held]
    laws = [formula(model, factor) for factor in model.factors]
    kinds = [a for _, a in nodes if a["kind"] == "factor"]
    factors: Rows = [
        (f"{a['label']}  {law}".rstrip(), a["role"], a["capability"]) for a, law in zip(kinds, laws, strict=True)
    ]
    return variables, factors


def as_html(model: FactorGraph) -> str:
    """Two tables for notebooks."""
    variables, factors = rows(model)
    return _table(VARIABLES, variables) + _table(FACTORS, factors)


def as_rich(model: FactorGraph) -> Any:
    """Two tables for terminals: `rich.print(model)`."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    tables = []
    for head, body in zip((VARIABLES, FACTORS), rows(model), strict=True):
        table = Table(*head, box=None, header_style="bold", padding=(0, 2, 0, 0))
        for row in body:
            table.add_row(*map(Text, row))
        tables.append(table)
    return Group(tables[0], Text(), tables[1])


def _table(head: tuple[str, ...], body: Sequence[tuple[str, ...]]) -> str:
    def line(tag: str, cells: tuple[str, ...]) -> str:
        return "<tr>" + "".join(f"<{tag} style='text-align:left'>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    return f"<table>{line('th', head)}{''.join(line('td', row) for row in body)}</table>"
