"""Imports and traces without Python's search for cycles of garbage, which finds next to none and takes its time.

Modules and traces make many objects that stay. Python looks for cycles among all of them each time that a quarter more
have come, up to a tenth of a second at a time once JAX, equinox, pandas and xarray are there.
"""

import contextlib
import gc
import threading
from collections.abc import Generator

FROZEN = 2000  # objects; the interpreter freezes some hundreds by itself, `gc.freeze()` all that there are


class _Held:
    """How many hold the search off, in all threads, whether it was on before, and whether modules were made."""

    lock = threading.Lock()
    count = 0
    enabled = True
    modules = False


@contextlib.contextmanager
def uncollected(modules: bool = False) -> Generator[None]:
    """Holds the search off; it is as it was once the last one that holds it off is done, in whichever thread.

    Args:
        modules: whether modules are imported. They stay, so that what was made is put with the old objects without a
            search; where somebody has frozen objects, for processes that are forked, it is left as it is.

    >>> with uncollected():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    with _Held.lock:
        if _Held.count == 0:
            _Held.enabled, _Held.modules = gc.isenabled(), False
            gc.disable()
        _Held.count += 1
        _Held.modules |= modules
    try:
        yield
    finally:
        with _Held.lock:
            _Held.count -= 1
            if _Held.count == 0 and _Held.enabled:
                if _Held.modules and gc.get_freeze_count() < FROZEN:
                    gc.freeze()  # all that there is, in no time
                    gc.unfreeze()  # into the oldest generation
                gc.enable()
