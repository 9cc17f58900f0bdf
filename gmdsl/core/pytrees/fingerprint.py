"""A hashable stand-in for a value: equal stand-ins mean the same traced program."""

import abc
import enum
import functools
import hashlib
import types
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from gmdsl.core.pytrees.reads import (
    ARRAYS,
    closure_cells,
    is_library,
    is_library_class,
    is_unbound,
    is_user_object,
    values_read,
)

_PLAIN = (bool, int, float, complex, str, bytes, tuple, list, dict, *ARRAYS)


class Keyed(abc.ABC):
    """A value that has made its fingerprint already."""

    key: Any


def fingerprint(value: Any, pins: list[Any], seen: tuple[int, ...] = ()) -> Any:
    """A hashable stand-in for a value: equal stand-ins mean the same traced program.

    Objects without a content that can be read are held by identity and kept alive in ``pins``.
    """
    if isinstance(value, enum.Enum):
        return ("enum", type(value).__qualname__, id(type(value)), value.name)
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return (type(value).__name__, repr(value))
    if id(value) in seen:
        return ("recursive", seen.index(id(value)))
    seen = (*seen, id(value))
    recur = functools.partial(fingerprint, pins=pins, seen=seen)
    if isinstance(value, ARRAYS) and not isinstance(value, Tracer):
        is_key = jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)
        content = np.asarray(jax.random.key_data(value) if is_key else value)
        return ("array", content.shape, str(content.dtype), hashlib.sha256(content.tobytes()).hexdigest())
    if isinstance(value, tuple | list):
        return (type(value).__name__, *map(recur, value))
    if isinstance(value, dict):
        return ("dict", *((recur(k), recur(v)) for k, v in value.items()))
    if isinstance(value, set | frozenset):
        return (type(value).__name__, frozenset(map(recur, value)))
    if isinstance(value, types.ModuleType):
        return ("module", value.__name__)
    if isinstance(value, functools.partial):
        return ("partial", recur(value.func), recur(value.args), recur(value.keywords))
    if isinstance(value, types.MethodType):
        return ("method", recur(value.__self__), recur(value.__func__))
    if isinstance(value, types.FunctionType):
        return _function_key(value, recur)
    if isinstance(value, Keyed):
        return value.key
    if type(value).__name__ == "PjitFunction":
        return ("jit", recur(value.__wrapped__))
    if not isinstance(value, type) and hasattr(value, "tree_flatten"):
        children, auxiliary = value.tree_flatten()
        pins.append(type(value))
        return ("tree", type(value).__qualname__, id(type(value)), recur(children), recur(auxiliary))
    if isinstance(value, eqx.Module):
        pins.append(type(value))
        return ("fields", type(value).__qualname__, id(type(value)), recur(vars(value)))
    if isinstance(value, type) and not is_library_class(value):
        plain = {k: v for k, v in vars(value).items() if isinstance(v, _PLAIN) and not k.startswith("__")}
        pins.append(value)
        return ("class", value.__qualname__, id(value), recur(plain))
    if is_user_object(value):
        pins.append(type(value))
        return ("instance", type(value).__qualname__, id(type(value)), recur(vars(value)))
    pins.append(value)
    return ("object", type(value).__qualname__, id(value))


def _function_key(function: types.FunctionType, recur: Callable[[Any], Any]) -> Any:
    if is_library(function):
        cells = tuple((name, recur(value)) for name, value in closure_cells(function))
        defaults = (recur(function.__defaults__), recur(function.__kwdefaults__))
        return ("library", function.__module__, function.__qualname__, _code_key(function.__code__), defaults, cells)
    reads = tuple((name, recur(value)) for name, value in values_read(function))
    defaults = (recur(function.__defaults__), recur(function.__kwdefaults__))
    where = id(function.__globals__) if is_unbound(function) else None
    return ("function", _code_key(function.__code__), defaults, reads, where)


def _code_key(code: types.CodeType) -> Any:
    constants = tuple(
        _code_key(c) if isinstance(c, types.CodeType) else (type(c).__name__, repr(c)) for c in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, constants, names, code.co_argcount, code.co_kwonlyargcount, code.co_flags)
