"""Imports that the end of a run needs, made while the compiler works at its beginning.

xarray, with pandas, takes a second to import and JAX a second to compile, which it does outside of
Python's lock: a thread does the one while the other goes on.
"""

import contextlib
import importlib
import sys
import threading

from gmdsl.core.runtime.garbage import uncollected

MODULE = "xarray"


def import_early() -> threading.Thread | None:
    """Begins to import xarray in the background; None when it is there already.

    An import that fails says so where the module is used.
    """
    if MODULE in sys.modules:
        return None
    thread = threading.Thread(target=_import, name="gmdsl imports xarray", daemon=True)
    thread.start()
    return thread


def _import() -> None:
    with contextlib.suppress(ImportError), uncollected(modules=True):
        importlib.import_module(MODULE)
