"""A certificate: rows of a pass/fail table, with what was measured and what would have been seen."""

import html
from dataclasses import dataclass
from typing import Any

PASSED, FAILED, NOT_EXAMINED = "passed", "failed", "not examined"
COLORS = {PASSED: "#2a7d2a", FAILED: "#b00020", NOT_EXAMINED: "#5a5a5a"}
STYLES = {PASSED: "green", FAILED: "bold red", NOT_EXAMINED: "dim"}


@dataclass(frozen=True)
class Row:
    """One check.

    Attributes:
        check: its name.
        status: "passed", "failed" or "not examined".
        evidence: what was measured; of what was not examined, why.
        sees: the smallest error that it sees, where it is a statistical test.
    """

    check: str
    status: str
    evidence: str
    sees: str = ""


@dataclass(frozen=True)
class Certificate:
    """The table of all checks; `print` it, or assert `.passed`.

    Attributes:
        sampler: the sampler, as text.
        rows: one per check.
        false_alarm: how often at most a sampler without fault fails, over all statistical checks together.
    """

    sampler: str
    rows: tuple[Row, ...]
    false_alarm: float

    @property
    def passed(self) -> bool:
        """Whether no check failed; what was not examined does not count."""
        return all(row.status != FAILED for row in self.rows)

    def __getitem__(self, check: str) -> Row:
        for row in self.rows:
            if row.check == check:
                return row
        raise KeyError(check)

    def __contains__(self, check: object) -> bool:
        return any(row.check == check for row in self.rows)

    def __str__(self) -> str:
        width = max((len(row.check) for row in self.rows), default=0) + 2
        lines = [f"{self._verdict()}; false-alarm rate at most {self.false_alarm:g}"]
        for row in self.rows:
            lines.append(f"  {row.check:<{width}}{row.status:<14}{row.evidence}")
            if row.sees:
                lines.append(f"  {'':<{width}}{'':<14}sees {row.sees}")
        return "\n".join(lines)

    __repr__ = __str__  # a failed `assert gm.certify(...).passed` then shows the table

    def _repr_html_(self) -> str:
        """The table as preformatted text with the verdict in colour, for notebooks."""
        first, *rest = html.escape(str(self)).splitlines()
        return f"<pre><b style='color:{COLORS[self._status()]}'>{first}</b>\n{chr(10).join(rest)}</pre>"

    def __rich__(self) -> Any:
        """The table in colour, for `rich.print`."""
        from rich.table import Table
        from rich.text import Text

        title = f"{self._verdict()}; false-alarm rate at most {self.false_alarm:g}"
        table = Table(title=Text(title, style=STYLES[self._status()]), title_justify="left", box=None)
        table.add_column("check", no_wrap=True)
        table.add_column("status", no_wrap=True)
        table.add_column("evidence")
        for row in self.rows:
            text = Text(row.evidence)
            text.append(f"\nsees {row.sees}" if row.sees else "", style="italic")
            table.add_row(Text(row.check), Text(row.status, style=STYLES[row.status]), text)
        return table

    def _status(self) -> str:
        return PASSED if self.passed else FAILED

    def _verdict(self) -> str:
        failed = [row.check for row in self.rows if row.status == FAILED]
        return f"{self.sampler}: {self._status()}" + (f" ({', '.join(failed)})" if failed else "")
