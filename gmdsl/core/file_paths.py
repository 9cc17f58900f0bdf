"""A path and a thing in one call: either may come first."""

import os
from typing import Any

from gmdsl.core.errors import SpecError


def path_and_thing(verb: str, example: str, path: Any, thing: Any) -> tuple[str, Any]:
    """The two in this order, whichever way round they were given.

    Args:
        verb: what the user called.
        example: how it is called.
        path: what was given for the path.
        thing: what was given for the thing.

    Raises:
        SpecError: neither is a path.

    >>> path_and_thing("save", "", 3.0, "a.npz")
    ('a.npz', 3.0)
    """
    if is_path(thing) and not is_path(path):
        path, thing = thing, path
    if not is_path(path):
        raise SpecError(
            f"{verb}(...): the path of a file is needed, and {type(path).__name__} and {type(thing).__name__} were"
            f" given. Call {example}."
        )
    return os.fspath(path), thing


def is_path(value: Any) -> bool:
    """Whether a value is the path of a file or a folder."""
    return isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str)
