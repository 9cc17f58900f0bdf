"""Indices without an end: a count, or the floor of a real number, that is used as an index as it is.

JAX raises no error for an index out of range; a lookup takes the nearest element. What is followed from a variable to
an index is only what keeps it without end: shifts, multiples, rounding, changes of shape. A minimum, a modulo, a
comparison or a search ends the trail, and so does an operation of two variables, since their difference may be bounded.
A single index by `a.at[k].get(mode="clip")` is the same program as `a[k]`, and cannot be told from it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from gmdsl.core.jaxprs.lookups import CLIP, counts_from_the_end, index_slots, lookup_mode
from gmdsl.core.jaxprs.tape import Tape, traced

KEPT = {
    *("add", "sub", "neg", "mul", "floor", "ceil", "round", "abs", "exp", "convert_element_type", "copy", "copy_p"),
    *("reshape", "squeeze", "expand_dims", "broadcast_in_dim", "transpose", "slice", "concatenate", "stop_gradient"),
}


def unbounded_lookups(
    function: Callable[[dict[str, Any]], Any], point: Mapping[str, Any], names: Iterable[str]
) -> list[tuple[str, int]]:
    """The variables that are indices as they are, and how many elements they point into.

    Args:
        function: from a dict of arrays to one array.
        point: arrays or shapes of all that it reads.
        names: variables without end.

    >>> import jax.numpy as jnp
    >>> unbounded_lookups(lambda v: v["a"][v["k"]], {"a": jnp.zeros(4), "k": jnp.zeros((), int)}, ["k"])
    [('k', 4)]
    """
    return unbounded_in(traced(function, point, keep=True), names)


def unbounded_in(tape: Tape, names: Iterable[str]) -> list[tuple[str, int]]:
    """The same of a function that is traced already; all of its operations are steps."""
    moving = set(tape.inputs.values())
    source = {tape.inputs[name]: name for name in names}
    found = []
    for step in tape.steps:
        for slot, limits in index_slots(step, tape):
            if slot in source and lookup_mode(step) != CLIP:
                found.append((source[slot], int(min(limits))))
        reads = [slot for slot in step.reads if slot in moving]
        if not reads:
            continue
        moving.update(step.writes)
        one = len(set(reads)) == 1 and reads[0] in source and step.name in KEPT
        if counts_from_the_end(step, tape.steps) and step.reads[1] in source:
            source.update(dict.fromkeys(step.writes, source[step.reads[1]]))
        elif one and all(tape.avals[slot].dtype != np.bool_ for slot in step.writes):
            source.update(dict.fromkeys(step.writes, source[reads[0]]))
    return found
