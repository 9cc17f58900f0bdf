"""A digest of a model, the same in every process."""

import hashlib
import weakref
from typing import Any

import jax
import numpy as np

from gmdsl.core.pytrees.digest import stable_text
from gmdsl.core.pytrees.fingerprint import fingerprint
from gmdsl.core.pytrees.function import Constant, Function
from gmdsl.core.pytrees.reads import ARRAYS
from gmdsl.inference.path import Path
from gmdsl.models.model import Model

_DIGESTS: dict[int, str] = {}


def model_digest(model: Model | Path) -> str:
    """A digest of the structure, the functions and the data of a model (or of both of a path), for every process."""
    if isinstance(model, Path):
        return f"{model_digest(model.target)}-{model_digest(model.reference)}"
    held = id(model)  # models are compared by their arrays, so they are no keys; none of them ever changes
    if held not in _DIGESTS:
        _DIGESTS[held] = _digest(model)
        weakref.finalize(model, _DIGESTS.pop, held, None)
    return _DIGESTS[held]


def _digest(model: Model) -> str:
    return pytree_digest(model, model.constants)


def pytree_digest(tree: Any, beside: Any = ()) -> str:
    """A digest of the structure, the functions and the arrays of a pytree, for every process.

    `beside` is what counts as well and is no leaf.
    """
    leaves, treedef = jax.tree.flatten(tree)
    arrays = [fingerprint(_numbers(leaf), []) for leaf in leaves if isinstance(leaf, ARRAYS)]
    held = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, Function | Constant))
    functions = [stable_text(node.key) for node in held if isinstance(node, Function | Constant)]
    text = repr((str(treedef), functions, beside, arrays))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _numbers(leaf: Any) -> np.ndarray:
    """An array of a model; of random keys, as a layer of dropout holds them, their data."""
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)
