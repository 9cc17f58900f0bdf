"""Factors as flat lists of steps, traced once for all factors that differ in the names of their variables alone.

A model of a thousand names has few kinds of factors. What is looked at in the program of a factor, such as its indices,
is the same for all of a kind, so their programs are kept by what they compute.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

import jax

from gmdsl.core.jaxprs.tape import Tape, traced
from gmdsl.graph.factor import Factor
from gmdsl.graph.families import value_of
from gmdsl.graph.kinds import kind_of, placed

KEPT = 512  # programs

_PROGRAMS: "OrderedDict[Hashable, tuple[Tape, Factor]]" = OrderedDict()


def program_of(factor: Factor, shapes: Mapping[str, Any]) -> Tape:
    """The program of a factor: of its log-density, or of its value where it is computed.

    Args:
        factor: any factor.
        shapes: of all that it reads by name, and Python numbers, which are constants of the program.

    Returns:
        Every operation as a step; the inputs have the names of the variables.
    """
    renamed, names = placed(factor, among=shapes)
    arrays = {place: shapes[n] for place, n in names.items() if isinstance(shapes[n], jax.ShapeDtypeStruct)}
    numbers = {place: shapes[n] for place, n in names.items() if place not in arrays}
    kind = kind_of(renamed)
    key = (kind, tuple(arrays.items()), repr(numbers), bool(jax.config.jax_enable_x64))
    tape = _kept(key) if kind is not None else None
    if tape is None:
        tape = traced(lambda values: value_of(renamed, {**numbers, **values}), arrays, keep=True)
    if kind is not None:
        _keep(key, tape, factor)
    return tape._replace(inputs={name: tape.inputs[place] for place, name in names.items() if place in arrays})


def _kept(key: Hashable) -> Tape | None:
    return _PROGRAMS[key][0] if key in _PROGRAMS else None


def _keep(key: Hashable, tape: Tape, factor: Factor) -> None:
    """The factor is kept, too: parts of its key are identities of what it holds."""
    _PROGRAMS.setdefault(key, (tape, factor))
    _PROGRAMS.move_to_end(key)
    if len(_PROGRAMS) > KEPT:
        _PROGRAMS.popitem(last=False)
