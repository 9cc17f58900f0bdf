"""What a function reads: arguments, closure cells, globals; and what of it belongs to installed packages."""

import builtins
import dis
import enum
import functools
import inspect
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

ARRAYS = (np.ndarray, jax.Array)
_STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]
_PACKAGES = {"diffrax", "equinox", "jax", "jaxlib", "numpy", "numpyro", "optax", "scipy"}  # in whatever folder they are


def arguments(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the parameters without defaults: in gmdsl these are the parents of a node.

    >>> arguments(lambda mu, tau, scale=2.0: None)
    ('mu', 'tau')
    """
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is parameter.empty:
            found.append(parameter.name)
    return tuple(found)


def values_read(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Every closure cell and global that a function (or a function inside it) reads."""
    if not isinstance(function, types.FunctionType):
        return
    yield from closure_cells(function)
    for name in sorted(global_names(function.__code__)):
        if name in function.__globals__:
            value = function.__globals__[name]
            yield name, value
            if isinstance(value, types.ModuleType) and not _in_library(
                getattr(value, "__file__", None) or "", value.__name__
            ):
                read = sorted(_attribute_names(function.__code__) & vars(value).keys())
                yield from ((f"{name}.{attribute}", vars(value)[attribute]) for attribute in read)


def closure_cells(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The closure cells of a function that are bound, by name."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a name that is bound later
            continue


@functools.lru_cache(maxsize=4096)
def global_names(code: types.CodeType) -> frozenset[str]:
    """Globals that a code object, or one inside it, reads."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    inner = (global_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return frozenset(names).union(*inner)


@functools.lru_cache(maxsize=4096)
def _attribute_names(code: types.CodeType) -> frozenset[str]:
    inner = (_attribute_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return frozenset(code.co_names).union(*inner)


def is_unbound(function: types.FunctionType) -> bool:
    """Whether what a function reads cannot be known: a helper defined below it, `globals()`."""
    read = global_names(function.__code__)
    if read & {"globals", "locals", "eval", "exec", "vars"}:
        return True
    return any(name not in function.__globals__ and not hasattr(builtins, name) for name in read)


def is_library(function: types.FunctionType) -> bool:
    """Whether a function belongs to an installed package, whose globals do not change under a model."""
    return _in_library(function.__code__.co_filename, function.__globals__.get("__name__"))


def _in_library(path: str, module: str | None) -> bool:
    installed = "site-packages" in path or "dist-packages" in path or path.startswith(_STANDARD_LIBRARY)
    return installed or str(module).partition(".")[0] in _PACKAGES


def is_library_class(value: type) -> bool:
    """Whether a class belongs to an installed package."""
    module = sys.modules.get(value.__module__)
    return value.__module__ == "builtins" or _in_library(getattr(module, "__file__", None) or "", value.__module__)


def is_user_object(value: Any) -> bool:
    """An instance of a user's class (or a namespace) whose content can be read and copied."""
    if isinstance(value, types.SimpleNamespace):
        return True
    if isinstance(value, enum.Enum):
        return False
    simple = hasattr(value, "__dict__") and not callable(getattr(type(value), "__reduce_cython__", None))
    return simple and not isinstance(value, type | types.ModuleType) and not is_library_class(type(value))
