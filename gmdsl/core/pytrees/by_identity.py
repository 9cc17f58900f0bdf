"""What was made of an object, kept with the object itself: found by its identity, forgotten when it goes."""

import weakref
from collections.abc import Hashable
from typing import Any

import jax
import numpy as np
from jax.core import Tracer


class ByIdentity[V]:
    """One value for each object that is alive, under a key that says for which settings it holds.

    >>> class Thing: ...
    >>> kept, thing = ByIdentity(), Thing()
    >>> kept.put(thing, "float32", 1.0), kept.get(thing, "float32"), kept.get(thing, "float64")
    (1.0, 1.0, None)
    >>> del thing
    >>> len(kept.entries)
    0
    """

    def __init__(self) -> None:
        self.entries: dict[int, tuple[weakref.ref[Any], Hashable, V]] = {}

    def get(self, thing: Any, key: Hashable) -> V | None:
        """What is kept of an object under this key, or None."""
        found = self.entries.get(id(thing))
        return found[2] if found is not None and found[0]() is thing and found[1] == key else None

    def put(self, thing: Any, key: Hashable, value: V) -> V:
        """Keeps a value in place of the one before, and gives it back."""
        at = id(thing)
        self.entries[at] = (weakref.ref(thing, lambda _: self.entries.pop(at, None)), key, value)
        return value


def is_fixed(tree: Any, most_bytes: int) -> bool:
    """Whether nobody can change the arrays of a tree: none is traced, or a NumPy array that may be written.

    Args:
        tree: any pytree.
        most_bytes: with larger arrays than so much together, no.
    """
    arrays = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, np.ndarray | jax.Array)]
    if any(isinstance(leaf, Tracer) or (isinstance(leaf, np.ndarray) and leaf.flags.writeable) for leaf in arrays):
        return False
    return sum(leaf.nbytes for leaf in arrays) <= most_bytes
