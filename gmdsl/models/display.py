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
    lines = [factor.name for factor in model.factors]
    for name, space in model.declared:
        role = "observed" if name in model.observed else "computed" if name in model.deterministic else "free"
        lines.append(f"  {name}: {space.title}, {role}")
    lines += [f"  {name}: data {getattr(value, 'shape', ())}" for name, value in model.data.items()]
    lines += [f"  {name}: {value}" for name, value in model.constants]
    lines += [f"  {name}: parameter in {p.space.title}" for name, p in model.params.items()]
    lines += [f"  {name}: input in {space.title}" for name, space in model.inputs]
    return "Model\n" + "\n".join(lines)


def rows(model: FactorGraph) -> tuple[Rows, Rows]:
    """The rows of the tables of variables and of factors."""
    nodes = as_networkx(model).nodes(data=True)
    variables: Rows = [(n, a["role"], a["space"]) for n, a in nodes if a["kind"] == "variable"]
    factors: Rows = [(a["label"], a["role"], a["capability"]) for _, a in nodes if a["kind"] == "factor"]
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
