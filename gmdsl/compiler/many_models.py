"""Compiled programs are given back to the system when many different models follow one another in one process.

JAX keeps every program that it compiled, some 40 memory maps and 6 MB for each model that is sampled. Systems allow
65,530 maps for a process, so some 1,500 models of different structure would end it. Models of one structure share their
programs, whatever their data.
"""

import jax

from gmdsl.compiler.program import programs_made

MOST = 48  # structures after which what was compiled is given back


class _Last:
    """How many structures there had been when programs were last given back."""

    made = 0


def give_back() -> None:
    """Gives compiled programs back, once enough models of new structure were made; called where a run begins.

    Whatever is used again is traced anew, functions of the user included; of programs that take long to compile the
    compiled form is on disk (`gmdsl.core.runtime.compilation_cache`).
    """
    if programs_made() - _Last.made >= MOST:
        _Last.made = programs_made()
        jax.clear_caches()
