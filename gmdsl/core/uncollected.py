"""Imports and traces without Python's search for cycles of garbage, which finds next to none and takes its time.

Modules and traces make many objects that stay. Python looks for cycles among all of them each time that a quarter more
have come, up to a tenth of a second at a time once JAX, equinox, pandas and xarray are there.
"""

import contextlib
import gc
import threading
from collections.abc import Generator


class _Held:
    """How many hold the search off, in all threads, and whether it was on before the first of them."""

    lock = threading.Lock()
    count = 0
    enabled = True


@contextlib.contextmanager
def uncollected() -> Generator[None]:
    """Holds the search off; it is as it was once the last one that holds it off is done, in whichever thread.

    >>> with uncollected():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    with _Held.lock:
        if _Held.count == 0:
            _Held.enabled = gc.isenabled()
            gc.disable()
        _Held.count += 1
    try:
        yield
    finally:
        with _Held.lock:
            _Held.count -= 1
            if _Held.count == 0 and _Held.enabled:
                gc.enable()
