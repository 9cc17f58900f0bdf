"""A pytree taken apart: its structure, which is static, and its arrays, which are traced.

Two trees of one structure share a skeleton, and with it every program compiled for it. True, 1 and 1.0 are equal in
Python and give different programs, so what is static is compared with its type.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from gmdsl.core.pytrees.reads import ARRAYS


class Skeleton:
    """The static half of a pytree. Equal skeletons hash alike, so that compiled programs are shared.

    Attributes:
        marks: for each leaf, whether it is traced.
    """

    def __init__(self, treedef: Any, statics: tuple[Any, ...], shapes: tuple[Any, ...] = ()):
        self.marks = tuple(static is _TRACED for static in statics)
        self._treedef, self._statics = treedef, statics
        self._key = (treedef, typed(statics), shapes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Skeleton) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def fill(self, arrays: Iterable[Any]) -> Any:
        """The tree with these arrays."""
        rest = iter(arrays)
        merged = [next(rest) if mark else static for mark, static in zip(self.marks, self._statics, strict=True)]
        return jax.tree.unflatten(self._treedef, merged)


def is_array(leaf: Any) -> bool:
    """Whether a leaf is an array of NumPy or JAX, traced ones included."""
    return isinstance(leaf, ARRAYS)


def strip(
    tree: Any,
    traced: Callable[[Any], bool] = is_array,
    convert: Callable[[Any], Any] = jnp.asarray,
    any_shape: bool = False,
) -> tuple[Skeleton, tuple[Any, ...]]:
    """The skeleton of a tree and its arrays.

    Args:
        tree: any pytree.
        traced: which leaves are taken out.
        convert: what is made of each of them.
        any_shape: whether trees with arrays of other shapes share the skeleton.

    >>> import jax.numpy as jnp
    >>> skeleton, arrays = strip({"a": jnp.ones(2), "b": "text"})
    >>> skeleton.fill(arrays)["b"], len(arrays)
    ('text', 1)
    """
    flat, treedef = jax.tree.flatten(tree)
    statics = tuple(_TRACED if traced(leaf) else leaf for leaf in flat)
    arrays = tuple(convert(leaf) for leaf, static in zip(flat, statics, strict=True) if static is _TRACED)
    shapes = () if any_shape else tuple((a.shape, a.dtype) for a in arrays)
    return Skeleton(treedef, statics, shapes), arrays


def typed(values: Iterable[Any]) -> tuple[Hashable, ...]:
    """Values that are compared with their types, and floats by their digits, so that -0.0 is not 0.0.

    >>> typed([1]) == typed([True]), typed([0.0]) == typed([-0.0]), [1] == [True]
    (False, False, True)
    """
    return tuple((type(value), repr(value) if isinstance(value, float) else value) for value in values)


_TRACED = "<traced>"  # stands for an array among the leaves; told by its identity
