"""A dict of limited size: the entry that was used longest ago is forgotten."""

from collections import OrderedDict


class LRU[K, V]:
    """What was kept or looked up last.

    Args:
        most: entries at most.

    >>> kept = LRU(2)
    >>> kept.put("a", 1), kept.put("b", 2), kept.get("a"), kept.put("c", 3)
    (1, 2, 1, 3)
    >>> kept.get("a"), kept.get("b")
    (1, None)
    """

    def __init__(self, most: int):
        self.most = most
        self.entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """What is kept under a key, which counts as used; None where there is nothing."""
        if key not in self.entries:
            return None
        self.entries.move_to_end(key)
        return self.entries[key]

    def put(self, key: K, value: V) -> V:
        """Keeps a value, and gives it back."""
        self.entries[key] = value
        self.entries.move_to_end(key)
        if len(self.entries) > self.most:
            self.entries.popitem(last=False)
        return value
