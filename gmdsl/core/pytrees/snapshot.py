"""Copies of functions and values that later changes do not reach."""

import builtins
import functools
import types
from typing import Any

import equinox as eqx
import jax
import numpy as np

from gmdsl.core.pytrees.reads import closure_cells, global_names, is_library, is_unbound, is_user_object


def _copy_function(function: Any, done: dict[int, Any]) -> Any:
    """A copy of a user's function, and of the helpers it calls, that reads snapshots."""
    if not isinstance(function, types.FunctionType) or is_library(function):
        return function
    if id(function) in done:
        return done[id(function)]
    if is_unbound(function) or len(list(closure_cells(function))) < len(function.__closure__ or ()):
        return function
    space: dict[str, Any] = {"__builtins__": builtins, "__name__": function.__module__}
    cells = tuple(types.CellType() for _ in function.__closure__ or ())
    copied = types.FunctionType(function.__code__, space, function.__name__, None, cells)
    done[id(function)] = copied
    copied.__defaults__ = snapshot(function.__defaults__, done)
    copied.__kwdefaults__ = snapshot(function.__kwdefaults__, done)
    copied.__qualname__, copied.__module__ = function.__qualname__, function.__module__
    copied.__dict__.update(function.__dict__)
    for name in global_names(function.__code__) & function.__globals__.keys():
        space[name] = snapshot(function.__globals__[name], done)
    for cell, (_, value) in zip(cells, closure_cells(function), strict=True):
        cell.cell_contents = snapshot(value, done)
    return copied


def snapshot(value: Any, done: dict[int, Any]) -> Any:
    """A copy of a value that later changes do not reach; what cannot change, or be copied, is kept."""
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, types.FunctionType):
        return _copy_function(value, done)
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (tuple, list, set):
        return type(value)(snapshot(item, done) for item in value)
    if type(value) is dict:
        return {key: snapshot(item, done) for key, item in value.items()}
    if type(value) is functools.partial:
        keywords = {key: snapshot(item, done) for key, item in value.keywords.items()}
        return functools.partial(snapshot(value.func, done), *snapshot(value.args, done), **keywords)
    if isinstance(value, types.MethodType):
        return types.MethodType(value.__func__, snapshot(value.__self__, done))
    if isinstance(value, eqx.Module):
        return jax.tree.map(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, value)
    is_tree = hasattr(value, "tree_flatten") and not isinstance(value, type)
    if is_tree and not any(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(value)):
        return value  # constraints are compared by identity
    if is_tree or is_user_object(value):
        try:
            twin = types.SimpleNamespace() if isinstance(value, types.SimpleNamespace) else object.__new__(type(value))
        except TypeError:  # a class that builds on another memory layout is kept as it is
            return value
        done[id(value)] = twin
        twin.__dict__.update({key: snapshot(item, done) for key, item in vars(value).items()})
        return twin
    return value
