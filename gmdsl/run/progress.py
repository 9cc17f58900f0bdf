"""A progress bar between blocks: what is running, how far, and whether something is wrong."""

from types import TracebackType
from typing import Any, Self

import numpy as np


class Progress:
    """A rich progress bar on standard error; silent when not wanted."""

    def __init__(self, name: str, warmup: int, draws: int, chains: int, show: bool):
        self.warmup, self.total, self.done, self.diverging = warmup, warmup + draws, 0, 0
        self.title = f"{name}, {chains} chain{'s' if chains > 1 else ''}"
        self.bar: Any = None
        self.show = show

    def __enter__(self) -> Self:
        if self.show:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self.bar = Progress(*columns, console=Console(stderr=True))
            self.bar.start()
            self.task = self.bar.add_task(self._describe(), total=self.total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def advance(self, records: int, stats: dict[str, Any]) -> None:
        """Moves the bar by some records and counts their divergences."""
        before, self.done = self.done, self.done + records
        if "diverging" in stats:
            after_warmup = max(0, self.warmup - before)
            self.diverging += int(np.sum(np.asarray(stats["diverging"])[:, after_warmup:]))
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, description=self._describe())

    def note(self, done: int, total: int) -> None:
        """Shows how far the work before the first draw is."""
        if self.bar is not None:
            self.bar.update(self.task, description=f"{self.title}: preparing {done}/{total}")

    def _describe(self) -> str:
        phase = "compiling" if self.done == 0 else "warm-up" if self.done < self.warmup else "draws"
        trouble = f", {self.diverging} divergent" if self.diverging else ""
        return f"{self.title}: {phase}{trouble}"
