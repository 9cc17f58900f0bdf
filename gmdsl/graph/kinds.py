"""What a factor computes, whatever its variables are called.

A model of a thousand names has few kinds of factors: what is found out about one of a kind holds for all.
"""

from collections.abc import Container, Hashable
from typing import Any, NamedTuple

import jax
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Constant, Function
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
    places = {name: f"#{index}" for index, name in enumerate(names)}
    try:
        return Placed(factor.rename(places), {place: name for name, place in places.items()})
    except SpecError:
        return Placed(factor, {name: name for name in names})


def kind_of(factor: Factor | Call, numbers: bool = True) -> Hashable | None:
    """What a factor, or a call, over places computes, whatever the arguments of its function are called.

    Args:
        factor: over places.
        numbers: whether distributions that were declared with other numbers are of another kind.

    Returns:
        Equal for factors that compute the same; None where a factor holds arrays or cannot be compared.
    """
    leaves, structure = jax.tree.flatten(factor, is_leaf=lambda node: isinstance(node, Call))
    calls = []
    for leaf in leaves:
        if not isinstance(leaf, Call) or not isinstance(leaf.function, Function | Constant):
            return None
        by_name = tuple(bool(argument) for argument, _ in leaf.bindings)
        floats = not numbers and holds_floats(leaf.function)
        key = _without_floats(leaf.function) if floats else _without_arguments(leaf.function.key)
        calls.append((key, leaf.variables, by_name))
    return (structure, tuple(calls)) if is_hashable(structure) else None


def holds_floats(function: Any) -> bool:
    """Whether a declared distribution holds floats and nothing else, so that it is the same one with other floats."""
    if not isinstance(function, Constant):
        return False
    leaves = jax.tree.leaves(function.value)
    floats = [isinstance(leaf, float | np.ndarray | jax.Array) and np.result_type(leaf).kind == "f" for leaf in leaves]
    return bool(leaves) and all(floats)


def _without_floats(constant: Constant) -> Hashable:
    """The key of such a distribution, whatever its floats."""
    leaves, structure = jax.tree.flatten(constant.value)
    if not is_hashable(structure):
        return constant.key
    return structure, tuple((np.shape(leaf), str(np.result_type(leaf))) for leaf in leaves)


def _without_arguments(key: Any) -> Any:
    """The key of a function without the names of its arguments and of its local variables."""
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
