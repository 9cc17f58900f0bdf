"""What a factor computes, whatever its variables are called.

A model of a thousand names has few kinds of factors: what is found out about one of a kind holds for all.
"""

from collections.abc import Container, Hashable
from typing import Any, NamedTuple

import jax

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.by_identity import ByIdentity
from gmdsl.core.pytrees.function import Constant, Function
from gmdsl.core.pytrees.numbers import key_without_numbers, numbers_in
from gmdsl.graph.factor import Call, Factor


class Placed(NamedTuple):
    """A factor whose variables are called by their places.

    Attributes:
        factor: the same factor over places, `#0`, `#1`, ...
        names: the variable at each place.
    """

    factor: Factor
    names: dict[str, str]


def placed(factor: Factor, among: Container[str] | None = None) -> Placed:
    """A factor over places: first its parents, then its children.

    Args:
        factor: any factor; names that a program of somebody else holds stay as they are.
        among: the variables that have a place; by default all.
    """
    names = tuple(dict.fromkeys(name for name in (*factor.parents, *factor.children) if among is None or name in among))
    known = _PLACED.get(factor, names)
    return _PLACED.put(factor, names, _over_places(factor, names)) if known is None else known


def _over_places(factor: Factor, names: tuple[str, ...]) -> Placed:
    places = {name: f"#{index}" for index, name in enumerate(names)}
    try:
        return Placed(factor.rename(places), {place: name for name, place in places.items()})
    except SpecError:
        return Placed(factor, {name: name for name in names})


_PLACED: ByIdentity[Placed] = ByIdentity()
_KINDS: dict[bool, ByIdentity[tuple[Hashable | None]]] = {True: ByIdentity(), False: ByIdentity()}


def kind_of(factor: Factor | Call, numbers: bool = True) -> Hashable | None:
    """What a factor, or a call, over places computes, whatever the arguments of its function are called.

    Args:
        factor: over places.
        numbers: whether functions and distributions that hold other numbers are of another kind.

    Returns:
        Equal for factors that compute the same; None where a factor holds arrays or cannot be compared.
    """
    known = _KINDS[numbers].get(factor, None)
    return (_KINDS[numbers].put(factor, None, (_kind(factor, numbers),)) if known is None else known)[0]


def _kind(factor: Factor | Call, numbers: bool) -> Hashable | None:
    leaves, structure = jax.tree.flatten(factor, is_leaf=lambda node: isinstance(node, Call))
    calls = []
    for leaf in leaves:
        if not isinstance(leaf, Call) or not isinstance(leaf.function, Function | Constant):
            return None
        by_name = tuple(bool(argument) for argument, _ in leaf.bindings)
        apart = numbers or not numbers_in(leaf.function)
        key = leaf.function.key if apart else key_without_numbers(leaf.function)
        calls.append((_without_arguments(key), leaf.variables, by_name))
    return (structure, tuple(calls)) if is_hashable(structure) else None


def _without_arguments(key: Any) -> Any:
    """The key of a function without the names of its arguments and of its local variables."""
    if isinstance(key, tuple) and key[0] == "function of numbers":
        return key[0], _without_arguments(key[1]), *key[2:]
    if not isinstance(key, tuple) or key[0] != "function":
        return key
    code, constants, (read, local, free, cells), *rest = key[1]
    return (key[0], (code, constants, (read, len(local), free, cells), *rest), *key[2:])


def is_hashable(value: Any) -> bool:
    """Whether a value can be a key."""
    try:
        hash(value)
    except TypeError:
        return False
    return True
