"""How many records the next block makes: so many that it takes a quarter of a second.

Between two blocks the host shows progress, commits, and honours Ctrl-C, so blocks are short in time; each costs some
tenths of a millisecond, so they are not shorter. How a run is cut changes none of its draws.
"""

from typing import Any

from gmdsl.core.lru import LRU

FIRST = 50  # records of the first block, where nothing is known
SECONDS = 0.25

_SECONDS: LRU[Any, float] = LRU(256)  # per record, of the last run of a kind


class Pace:
    """Looks at how long blocks take.

    Args:
        capacity: records in a block at most.
        every: records after which a block ends in any case; None for no such number.
        kind: of the run; the first block of a run is as long as the last one of its kind tells.

    >>> pace = Pace(1000, None)
    >>> pace.next(0, 5000)
    50
    >>> pace.took(50, 2.0)  # compilation is in it
    >>> pace.took(50, 0.125)
    >>> pace.next(100, 5000)
    100
    """

    def __init__(self, capacity: int, every: int | None, kind: Any = None):
        self.capacity, self.every, self.kind = capacity, every, kind
        seconds = _SECONDS.get(kind)
        self.records, self.known = min(FIRST, capacity), seconds is not None
        if seconds is not None:
            self._follow(seconds)

    def next(self, done: int, left: int) -> int:
        """Records of the next block, after so many of this run, with so many to go."""
        whole = left if self.every is None else self.every - done % self.every
        return min(self.records, whole, left)

    def took(self, records: int, seconds: float) -> None:
        """Takes note of a block. The first of its kind may be long for the compiler's sake, so it shortens no other."""
        one, known = seconds / records, self.known
        self.known = True
        if known or one * self.records < SECONDS:
            self._follow(one)
            if self.kind is not None:
                _SECONDS.put(self.kind, one)

    def _follow(self, seconds: float) -> None:
        """Makes blocks of records that take so long each."""
        self.records = max(1, min(self.capacity, int(SECONDS / max(seconds, 1e-9))))
