"""Which names a variable may have."""

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
