"""Ctrl-C while something is finished that must not be lost: the first is noted, the second ends it."""

import contextlib
import signal
import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any


@dataclass
class Held:
    """Whether Ctrl-C came while it was held back.

    Attributes:
        noted: whether it came.
        before: what handled it before; None while it is not held back.
    """

    noted: bool = False
    before: Any = None

    def __call__(self, number: int, frame: Any) -> None:
        """Notes the first; the second is as always."""
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True


_open: list[Held] = []


@contextlib.contextmanager
def keeping() -> Generator[Held]:
    """Lets `hold` take effect up to the end of the block; what it gives says whether Ctrl-C came after that.

    >>> with keeping() as held:
    ...     print("done")
    done
    >>> held.noted
    False
    """
    held = Held()
    if threading.current_thread() is not threading.main_thread():  # no other thread gets Ctrl-C
        yield held
        return
    _open.append(held)
    try:
        yield held
    finally:
        _open.remove(held)
        if held.before is not None:
            signal.signal(signal.SIGINT, held.before)


def hold() -> None:
    """Holds Ctrl-C back from here on; without effect outside of `keeping`, or where a handler of one's own is set."""
    if threading.current_thread() is not threading.main_thread() or not _open or _open[-1].before is not None:
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        _open[-1].before = signal.default_int_handler
        signal.signal(signal.SIGINT, _open[-1])
