"""gmdsl: declare a generative model as a graph, compile it to JAX, sample it with any backend.

The public names are listed in `__init__.pyi` and imported when they are first used (SPEC 1).
"""

import lazy_loader

from gmdsl.core.runtime.fork import watch as _watch
from gmdsl.core.runtime.garbage import uncollected as _uncollected

_found, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    with _uncollected(modules=True):
        return _found(name)


_watch()
