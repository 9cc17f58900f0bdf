"""The version that draws and weights are marked with."""

import functools
import importlib.metadata


@functools.cache
def version() -> str:
    """That of the installed package; "unknown" where sources are used as they lie, as by PYTHONPATH."""
    try:
        return importlib.metadata.version("gmdsl")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
