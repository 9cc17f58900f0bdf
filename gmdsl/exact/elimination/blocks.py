"""Variables of one space as the rows of one variable.

A chain that is declared name by name is then looked at, tabulated and summed out as one that is declared as an array.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Array

from gmdsl.graph.rows import NamedRows
from gmdsl.spaces.from_constraint import with_shape
from gmdsl.spaces.space import Space

LEAST = 3  # variables of one space, and factors of one kind, go together from this number on


def in_blocks[T](
    function: Callable[[Any], T], spaces: Mapping[str, Space]
) -> tuple[Callable[[Mapping[str, Array]], T], dict[str, Space]]:
    """A function of named variables as one of fewer variables, of which some have a first axis for many names.

    Args:
        function: of the values of all variables, by name.
        spaces: the variables.

    >>> from gmdsl.spaces.discrete import Spin
    >>> other, found = in_blocks(lambda v: v["s3"] - v["s2"], {f"s{i}": Spin() for i in range(20)})
    >>> import jax.numpy as jnp
    >>> found, int(other({"s0...": jnp.arange(20)}))
    ({'s0...': Spin(shape=(20,))}, 1)
    """
    members = _members(spaces)
    if not members:
        return function, dict(spaces)
    inside = {name for names in members.values() for name in names}
    others = {name: space for name, space in spaces.items() if name not in inside}
    blocks = {
        block: with_shape(spaces[names[0]], (len(names), *spaces[names[0]].shape)) for block, names in members.items()
    }

    def other(values: Mapping[str, Array]) -> T:
        rows = NamedRows({name: values[name] for name in others})
        for block, names in members.items():
            rows.add(names, values[block])
        return function(rows)

    return other, {**others, **blocks}


def out_of_blocks(found: Mapping[str, Array], spaces: Mapping[str, Space]) -> dict[str, Array]:
    """Arrays of the variables of `in_blocks`, by the names that were given to it.

    Args:
        found: by the other names; arrays of blocks have an axis for their names first.
        spaces: that were given to it.
    """
    rows = NamedRows({name: array for name, array in found.items() if name in spaces})
    for block, names in _members(spaces).items():
        rows.add(names, found[block])
    return {name: rows[name] for name in spaces}


def _members(spaces: Mapping[str, Space]) -> dict[str, tuple[str, ...]]:
    """The names in each block."""
    alike: dict[Space, list[str]] = {}
    for name, space in spaces.items():
        alike.setdefault(space, []).append(name)
    return {f"{names[0]}...": tuple(names) for names in alike.values() if len(names) >= LEAST}
