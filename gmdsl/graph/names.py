"""Which names a variable may have, and how many of them are written."""

from collections.abc import Sequence
from typing import Any

from gmdsl.core.errors import SpecError

RESERVED = ("dims", "coords", "chain", "draw")


def check_name(name: Any) -> None:
    """Refuses names that trees of results cannot hold.

    Raises:
        SpecError: a reserved name, a name with '/', or something that is not a string.
    """
    if name in RESERVED or not isinstance(name, str) or "/" in name:
        listed = ", ".join(RESERVED)
        raise SpecError(f"{name}: a name is a string without '/', and {listed} are reserved. Rename it.")


def listed(names: Sequence[str], written: Any = str) -> str:
    """Names for a message, of more than eight the first three and the last.

    >>> listed(["a", "b"], repr), listed([f"k{i}" for i in range(500)])
    ("'a', 'b'", 'k0, k1, k2, ..., k499')
    """
    shown = [written(name) for name in names]
    return ", ".join(shown if len(shown) <= MOST_NAMES else [*shown[:3], "...", shown[-1]])


MOST_NAMES = 8  # that are written out in a message
