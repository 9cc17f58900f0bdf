"""A process that was forked after JAX had started cannot use JAX: its threads are gone and it would hang for ever.

A hook of the operating system notes it in the child, and the first model that is compiled there says so.
"""

import os
import sys

from gmdsl.core.errors import SpecError


class _Process:
    """This process."""

    forked = False


def watch() -> None:
    """Begins to watch for forks."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_note)


def refuse_fork() -> None:
    """Refuses to go on in a child that was forked after its parent had used JAX.

    Raises:
        SpecError: it is one.
    """
    if _Process.forked:
        raise SpecError(
            "compile(...): this process was forked after its parent had used JAX, and JAX would hang here. Start"
            ' workers by spawn: multiprocessing.get_context("spawn"), or set_start_method("spawn").'
        )


def _note() -> None:
    bridge = sys.modules.get("jax._src.xla_bridge")
    started = getattr(bridge, "backends_are_initialized", None)
    _Process.forked = _Process.forked or bool(started is not None and started())
