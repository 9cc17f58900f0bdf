"""How many records the next block makes: so many that it takes a quarter of a second.

Between two blocks the host shows progress, commits, and honours Ctrl-C, so blocks are short in time; each costs some
tenths of a millisecond, so they are not shorter. How a run is cut changes none of its draws.
"""

FIRST = 50  # records of the first block, of which nothing is known
SECONDS = 0.25


class Pace:
    """Looks at how long blocks take.

    Args:
        capacity: records in a block at most.
        every: records after which a block ends in any case; None for no such number.

    >>> pace = Pace(1000, None)
    >>> pace.next(0, 5000)
    50
    >>> pace.took(50, 2.0)  # compilation is in it
    >>> pace.took(50, 0.125)
    >>> pace.next(100, 5000)
    100
    """

    def __init__(self, capacity: int, every: int | None):
        self.capacity, self.every = capacity, every
        self.records = min(FIRST, capacity)
        self.seen = 0

    def next(self, done: int, left: int) -> int:
        """Records of the next block, after so many of this run, with so many to go."""
        whole = left if self.every is None else self.every - done % self.every
        return min(self.records, whole, left)

    def took(self, records: int, seconds: float) -> None:
        """Takes note of a block. The first may be long for the compiler's sake, so it shortens no other."""
        wanted = int(records * SECONDS / max(seconds, 1e-9))
        self.seen += 1
        if self.seen > 1 or wanted > self.records:
            self.records = max(1, min(self.capacity, wanted))
