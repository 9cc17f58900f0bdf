"""How far a fit is: its loss and its steps per second, as a bar in a terminal and as lines in a log file."""

import sys
import time
from typing import Any, Self

import numpy as np

from gmdsl.run.progress import Progress

EVERY = 10.0  # seconds between two lines of a log


class TrainingProgress(Progress):
    """A progress bar that shows the mean loss of the last block and the speed; lines where no terminal is.

    The speed is that of the steps since the first block, which waits for the compiler.
    """

    def __init__(self, name: str, steps: int, show: bool, clock: Any = time.perf_counter):
        super().__init__(name, 0, steps, 1, show)
        self.title, self.clock = name, clock
        self.loss = np.nan
        self.first: tuple[float, int] | None = None  # when the first block was done, and how many steps it had
        self.written = -np.inf
        self.lines = False

    def __enter__(self) -> Self:
        self.lines = self.show and not sys.stderr.isatty()
        self.show = self.show and not self.lines
        return super().__enter__()

    @property
    def speed(self) -> float:
        """Steps per second; NaN before the second block."""
        if self.first is None or self.done == self.first[1]:
            return np.nan
        return (self.done - self.first[1]) / max(self.clock() - self.first[0], 1e-9)

    def advance(self, records: int, stats: dict[str, Any]) -> None:
        self.loss = float(np.mean(stats["loss"])) if len(stats.get("loss", ())) else self.loss
        super().advance(records, {})
        if self.first is None:
            self.first = (self.clock(), self.done)
        if self.lines and (self.done >= self.total or self.clock() - self.written >= EVERY):
            self.written = self.clock()
            print(self._line(), file=sys.stderr, flush=True)

    def _line(self) -> str:
        return f"{self.title}: step {self.done} of {self.total}{self._numbers()}"

    def _numbers(self) -> str:
        speed = "" if np.isnan(self.speed) else f", {self.speed:.3g} steps/s"
        return f", loss {self.loss:.5g}{speed}"

    def _describe(self) -> str:
        return f"{self.title}: compiling" if self.done == 0 else f"{self.title}{self._numbers()}"
