"""Compiled programs are kept between processes, so that the second run of a model does not wait for the compiler.

JAX does the keeping. gmdsl switches it on when it first compiles a model, unless the user has chosen a folder for JAX
(`jax_compilation_cache_dir`, or the environment variable of that name) or says otherwise by `GMDSL_CACHE`: a folder, or
`off`. By default the programs lie in the user's folder of caches, `~/.cache/gmdsl/programs` on Linux. They are safe to
delete. The key of a program holds the versions of JAX and of the processor, so a stale one is never used.
"""

import functools
import os
import pathlib
import sys

import jax

SWITCH = "GMDSL_CACHE"
SHORTEST = 0.03  # seconds of compilation from which on a program is kept


@functools.cache
def keep_programs() -> str | None:
    """Switches JAX's cache on, once per process; the folder, or None where the choice is left as it was."""
    place = folder()
    if place is None or jax.config.jax_compilation_cache_dir:
        return None
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written: everything works as without a cache
        return None
    from jax.experimental.compilation_cache import compilation_cache

    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
    compilation_cache.reset_cache()  # JAX looks for a folder once, perhaps before this
    return str(place)


def folder() -> pathlib.Path | None:
    """Where programs are kept; None when that is switched off.

    >>> import os
    >>> os.environ["GMDSL_CACHE"] = "off"
    >>> folder() is None
    True
    >>> del os.environ["GMDSL_CACHE"]
    """
    chosen = os.environ.get(SWITCH)
    if chosen is not None:
        return None if chosen.lower() in ("off", "0", "") else pathlib.Path(chosen).expanduser()
    if sys.platform == "win32":
        base = pathlib.Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        base = pathlib.Path("~/Library/Caches")
    else:
        base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return base.expanduser() / "gmdsl" / "programs"
