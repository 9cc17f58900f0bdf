"""Reports: findings with evidence and the next step, and one status for all of them."""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

ORDER = ("ok", "note", "suspect", "failed")
COLORS = {"ok": "#2a7d2a", "note": "#5a5a5a", "suspect": "#b36b00", "failed": "#b00020"}
STYLES = {"ok": "green", "note": "dim", "suspect": "yellow", "failed": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        name: which check.
        status: "ok", "note" (worth knowing, or not examined), "suspect" or "failed".
        evidence: what was measured.
        advice: the next step.
    """

    name: str
    status: str
    evidence: str
    advice: str = ""


@dataclass(frozen=True)
class Report:
    """All findings and their status: "ok", "suspect" or "failed"."""

    findings: tuple[Finding, ...]

    @property
    def status(self) -> str:
        worst = max((ORDER.index(f.status) for f in self.findings), default=0)
        return "ok" if worst <= ORDER.index("note") else ORDER[worst]

    def __getitem__(self, name: str) -> Finding:
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(finding.name == name for finding in self.findings)

    def _repr_html_(self) -> str:
        """The report as preformatted text with the status in colour, for notebooks."""
        first, *rest = html.escape(str(self)).splitlines()
        return f"<pre><b style='color:{COLORS[self.status]}'>{first}</b>\n{chr(10).join(rest)}</pre>"

    def __rich__(self) -> Any:
        """The report as a table in colour, for `rich.print`."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(f"status: {self.status}", style=STYLES[self.status]), title_justify="left", box=None)
        table.add_column("finding", no_wrap=True)
        table.add_column("status", no_wrap=True)
        table.add_column("evidence, and the next step")
        for finding in self._worst_first():
            text = Text(finding.evidence)
            text.append(f"\n-> {finding.advice}" if finding.advice else "", style="italic")
            table.add_row(Text(finding.name), Text(finding.status, style=STYLES[finding.status]), text)
        return table

    def __str__(self) -> str:
        width = max((len(f.name) for f in self.findings), default=0) + 2
        lines = [f"status: {self.status}"]
        for finding in self._worst_first():
            lines.append(f"  {finding.name:<{width}}{finding.status:<9}{finding.evidence}")
            if finding.advice:
                lines.append(f"  {'':<{width}}{'':<9}-> {finding.advice}")
        return "\n".join(lines)

    def _worst_first(self) -> list[Finding]:
        return sorted(self.findings, key=lambda f: -ORDER.index(f.status))


def report(findings: Iterable[Finding | None]) -> Report:
    """A report of what was found; None is nothing to say."""
    return Report(tuple(finding for finding in findings if finding is not None))


def percent(share: float) -> str:
    """A share as text.

    >>> percent(0.005)
    '0.5 %'
    """
    return f"{100 * share:.3g} %"


def listed(names: Iterable[str], most: int = 4) -> str:
    """Names as text, the first few of them.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
