"""Small helpers on immutable modules and pytrees."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from gmdsl.core.errors import unknown_name
from gmdsl.core.pytrees.reads import ARRAYS


def replace(module: Any, **fields: Any) -> Any:
    """The same module with some fields changed; its checks are not run again, because values may be traced.

    Args:
        module: a sampler, an adapter or any other module.
        fields: new values by name of the field.

    >>> import gmdsl as gm
    >>> gm.replace(gm.HMC(), steps=5).steps
    5
    """
    names = tuple(fields)
    known = [field.name for field in dataclasses.fields(module)]
    for name in names:
        if name not in known:
            raise unknown_name(f"replace({type(module).__name__}, {name}=...)", name, known, "fields")
    none = lambda leaf: leaf is None  # noqa: E731
    return eqx.tree_at(lambda m: [getattr(m, n) for n in names], module, [fields[n] for n in names], is_leaf=none)


def strong(tree: Any) -> Any:
    """The same arrays with strong types, so that a carry keeps its type from the first step on."""
    return jax.tree.map(lambda leaf: jax.lax.convert_element_type(jnp.asarray(leaf), jnp.asarray(leaf).dtype), tree)


def setting(module: Any, name: str) -> Any:
    """A field of a module, by name."""
    return getattr(module, name)


def named_numbers(module: Any) -> dict[str, Any]:
    """The floats and arrays among the leaves of a module, by where they sit.

    >>> import gmdsl as gm
    >>> named_numbers(gm.HMC(step_size=0.1))["step_size"]
    0.1
    """
    found = jax.tree_util.tree_flatten_with_path(module)[0]
    return {_place(path): leaf for path, leaf in found if isinstance(leaf, (float, *ARRAYS))}


def with_numbers(module: Any, numbers: Any) -> Any:
    """The same module with other floats and arrays, by where they sit."""
    flat, treedef = jax.tree_util.tree_flatten_with_path(module)
    return jax.tree.unflatten(treedef, [numbers.get(_place(path), leaf) for path, leaf in flat])


def _place(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def stopped(tree: Any) -> Any:
    """The same tree with arrays through which no gradient flows; other leaves are left alone."""
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if isinstance(leaf, jax.Array) else leaf, tree)
