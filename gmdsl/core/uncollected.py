"""Imports without Python's search for cycles of garbage, which finds none and takes a tenth of their time or more.

Modules make many objects that stay. Python looks for cycles among all of them each time that a quarter more have come,
up to a tenth of a second at a time once JAX, equinox, pandas and xarray are there.
"""

import contextlib
import gc
from collections.abc import Generator


@contextlib.contextmanager
def uncollected() -> Generator[None]:
    """Holds the search off; afterwards it is as it was.

    >>> with uncollected():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
