"""Factors as flat lists of steps, traced once for all factors that differ in the names of their variables alone.

A model of a thousand names has few kinds of factors. What is looked at in the program of a factor, such as its indices,
is the same for all of a kind, so their programs are kept by what they compute.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

import jax

from gmdsl.core.errors import SpecError
from gmdsl.core.jaxprs.tape import Tape, traced
from gmdsl.core.pytrees.function import Constant, Function
from gmdsl.graph.factor import Call, Deterministic, Factor

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
    names = tuple(dict.fromkeys(name for name in (*factor.parents, *factor.children) if name in shapes))
    places = {name: f"#{index}" for index, name in enumerate(names)}
    try:
        renamed = factor.rename(places)
    except SpecError:  # names that a program of somebody else holds
        renamed, places = factor, {name: name for name in names}
    arrays = {places[n]: shapes[n] for n in names if isinstance(shapes[n], jax.ShapeDtypeStruct)}
    numbers = {places[n]: shapes[n] for n in names if places[n] not in arrays}
    kind = _kind(renamed)
    key = (kind, tuple(arrays.items()), repr(numbers), bool(jax.config.jax_enable_x64))
    tape = _kept(key) if kind is not None else None
    if tape is None:
        tape = traced(lambda values: _result(renamed, {**numbers, **values}), arrays, keep=True)
    if kind is not None:
        _keep(key, tape, factor)
    return tape._replace(inputs={name: tape.inputs[place] for name, place in places.items() if place in arrays})


def _kept(key: Hashable) -> Tape | None:
    return _PROGRAMS[key][0] if key in _PROGRAMS else None


def _keep(key: Hashable, tape: Tape, factor: Factor) -> None:
    """The factor is kept, too: parts of its key are identities of what it holds."""
    _PROGRAMS.setdefault(key, (tape, factor))
    _PROGRAMS.move_to_end(key)
    if len(_PROGRAMS) > KEPT:
        _PROGRAMS.popitem(last=False)


def _result(factor: Factor, values: Mapping[str, Any]) -> Any:
    return factor.evaluate(values) if isinstance(factor, Deterministic) else factor.log_density(values)


def _kind(factor: Factor) -> Hashable | None:
    """What a factor computes, whatever the arguments of its function are called; None where it holds arrays."""
    leaves, structure = jax.tree.flatten(factor, is_leaf=lambda node: isinstance(node, Call))
    calls = []
    for leaf in leaves:
        if not isinstance(leaf, Call) or not isinstance(leaf.function, Function | Constant):
            return None
        by_name = tuple(bool(argument) for argument, _ in leaf.bindings)
        calls.append((_without_arguments(leaf.function.key), leaf.variables, by_name))
    try:
        hash(structure)
    except TypeError:
        return None
    return structure, tuple(calls)


def _without_arguments(key: Any) -> Any:
    """The key of a function without the names of its arguments and of its local variables."""
    if not isinstance(key, tuple) or key[0] != "function":
        return key
    code, constants, (read, local, free, cells), *rest = key[1]
    return (key[0], (code, constants, (read, len(local), free, cells), *rest), *key[2:])
