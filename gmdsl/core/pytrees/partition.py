"""A pytree taken apart: its structure, which is static, and its arrays, which are traced.

Two trees of one structure share a skeleton, and with it every program compiled for it.
"""

from typing import Any

import jax
import jax.numpy as jnp

from gmdsl.core.pytrees.reads import ARRAYS


class Skeleton:
    """The static half of a pytree. Equal skeletons hash alike, so that compiled programs are shared.

    Attributes:
        marks: for each leaf, whether it is an array.
    """

    def __init__(self, treedef: Any, statics: tuple[Any, ...], shapes: tuple[Any, ...]):
        self.treedef = treedef
        self.marks = tuple(static is _ARRAY for static in statics)
        self._statics = statics
        self._key = (treedef, tuple((type(s), repr(s) if isinstance(s, float) else s) for s in statics), shapes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Skeleton) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def fill(self, arrays: Any) -> Any:
        """The tree with these arrays."""
        rest = iter(arrays)
        merged = [next(rest) if mark else static for mark, static in zip(self.marks, self._statics, strict=True)]
        return jax.tree.unflatten(self.treedef, merged)


def strip(tree: Any) -> tuple[Skeleton, tuple[jax.Array, ...]]:
    """The skeleton of a tree and its arrays.

    >>> import jax.numpy as jnp
    >>> skeleton, arrays = strip({"a": jnp.ones(2), "b": "text"})
    >>> skeleton.fill(arrays)["b"], len(arrays)
    ('text', 1)
    """
    flat, treedef = jax.tree.flatten(tree)
    statics = tuple(_ARRAY if isinstance(leaf, ARRAYS) else leaf for leaf in flat)
    arrays = tuple(jnp.asarray(leaf) for leaf in flat if isinstance(leaf, ARRAYS))
    return Skeleton(treedef, statics, tuple((a.shape, a.dtype) for a in arrays)), arrays


_ARRAY = "<array>"  # stands for an array among the leaves; replaced before use
