"""A user's function as a value: compared by what it computes, not by where it lives.

Two lambdas with the same code, defaults, closure values and globals they read are the same
function, so a model that is rebuilt with the same lambdas hits the same compiled program. What a
function reads is snapshotted when it is wrapped: a loop variable, a global or an array that changes
later does not reach a model that is declared already. Arrays count by content.
"""

import builtins
import dis
import enum
import functools
import hashlib
import inspect
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

ARRAYS = (np.ndarray, jax.Array)


class _Twins:
    """A value and its copy for the other precision.

    JAX keeps a NumPy array that a traced function closes over in the precision of its first use, by
    the identity of the array; with `jax_enable_x64` switched later it would mix both in one program.
    """

    def __init__(self, value: Any):
        self.by_precision = {bool(jax.config.jax_enable_x64): value}
        self.first = value

    def current(self) -> Any:
        """The copy for the precision that is switched on."""
        double = bool(jax.config.jax_enable_x64)
        if double not in self.by_precision:
            self.by_precision[double] = _snapshot(self.first, {})
        return self.by_precision[double]


@jax.tree_util.register_static
class Function:
    """A plain function, hashable by its fingerprint; a pytree node without leaves."""

    def __init__(self, function: Callable[..., Any]):
        self.function = _snapshot(function, {})
        self._twins = _Twins(self.function)
        self._pins: list[Any] = []
        self.key = fingerprint(self.function, self._pins)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._twins.current()(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


@jax.tree_util.register_static
class Constant:
    """A constant object (a distribution with its numbers), compared by content."""

    def __init__(self, value: Any):
        self.value = value
        self._twins = _Twins(value)
        self._pins: list[Any] = []
        self.key = fingerprint(value, self._pins)

    def __call__(self) -> Any:
        return self._twins.current()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return type(self.value).__name__


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


def captured(function: Callable[..., Any]) -> list[tuple[str, str]]:
    """Names and kinds of the arrays, modules and mutable containers a function closes over."""
    defaults = [("a default", v) for v in (getattr(function, "__defaults__", None) or ())]
    defaults += list((getattr(function, "__kwdefaults__", None) or {}).items())
    return [(name, kind) for name, value in (*_reads(function), *defaults) if (kind := _risky(value))]


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
    if isinstance(value, Function | Constant):
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
    if isinstance(value, type) and not _is_library_class(value):
        plain = {k: v for k, v in vars(value).items() if isinstance(v, _PLAIN) and not k.startswith("__")}
        pins.append(value)
        return ("class", value.__qualname__, id(value), recur(plain))
    if _is_user_object(value):
        pins.append(type(value))
        return ("instance", type(value).__qualname__, id(type(value)), recur(vars(value)))
    pins.append(value)
    return ("object", type(value).__qualname__, id(value))


def _function_key(function: types.FunctionType, recur: Callable[[Any], Any]) -> Any:
    if _is_library(function):
        cells = tuple((name, recur(value)) for name, value in _cells(function))
        defaults = (recur(function.__defaults__), recur(function.__kwdefaults__))
        return ("library", function.__module__, function.__qualname__, _code_key(function.__code__), defaults, cells)
    reads = tuple((name, recur(value)) for name, value in _reads(function))
    defaults = (recur(function.__defaults__), recur(function.__kwdefaults__))
    where = id(function.__globals__) if _unbound(function) else None
    return ("function", _code_key(function.__code__), defaults, reads, where)


def _code_key(code: types.CodeType) -> Any:
    constants = tuple(
        _code_key(c) if isinstance(c, types.CodeType) else (type(c).__name__, repr(c)) for c in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, constants, names, code.co_argcount, code.co_kwonlyargcount, code.co_flags)


def _reads(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Every closure cell and global that a function (or a function inside it) reads."""
    if not isinstance(function, types.FunctionType):
        return
    yield from _cells(function)
    for name in sorted(_global_names(function.__code__)):
        if name in function.__globals__:
            value = function.__globals__[name]
            yield name, value
            if isinstance(value, types.ModuleType) and not _in_library(
                getattr(value, "__file__", None) or "", value.__name__
            ):
                read = sorted(_attribute_names(function.__code__) & vars(value).keys())
                yield from ((f"{name}.{attribute}", vars(value)[attribute]) for attribute in read)


def _cells(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a name that is bound later
            continue


@functools.lru_cache(maxsize=4096)
def _global_names(code: types.CodeType) -> frozenset[str]:
    names = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    inner = (_global_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return frozenset(names).union(*inner)


@functools.lru_cache(maxsize=4096)
def _attribute_names(code: types.CodeType) -> frozenset[str]:
    inner = (_attribute_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return frozenset(code.co_names).union(*inner)


def _unbound(function: types.FunctionType) -> bool:
    """Whether what a function reads cannot be known: a helper defined below it, `globals()`."""
    read = _global_names(function.__code__)
    if read & {"globals", "locals", "eval", "exec", "vars"}:
        return True
    return any(name not in function.__globals__ and not hasattr(builtins, name) for name in read)


def _is_library(function: types.FunctionType) -> bool:
    """Whether a function belongs to an installed package, whose globals do not change under a model."""
    return _in_library(function.__code__.co_filename, function.__globals__.get("__name__"))


def _in_library(path: str, module: str | None) -> bool:
    installed = "site-packages" in path or "dist-packages" in path or path.startswith(_STANDARD_LIBRARY)
    return installed or str(module).partition(".")[0] in _PACKAGES


def _is_library_class(value: type) -> bool:
    module = sys.modules.get(value.__module__)
    return value.__module__ == "builtins" or _in_library(getattr(module, "__file__", None) or "", value.__module__)


def _is_user_object(value: Any) -> bool:
    """An instance of a user's class (or a namespace) whose content can be read and copied."""
    if isinstance(value, types.SimpleNamespace):
        return True
    if isinstance(value, enum.Enum):
        return False
    simple = hasattr(value, "__dict__") and not callable(getattr(type(value), "__reduce_cython__", None))
    return simple and not isinstance(value, type | types.ModuleType) and not _is_library_class(type(value))


def _frozen(function: Any, done: dict[int, Any]) -> Any:
    """A copy of a user's function, and of the helpers it calls, that reads snapshots."""
    if not isinstance(function, types.FunctionType) or _is_library(function):
        return function
    if id(function) in done:
        return done[id(function)]
    if _unbound(function) or len(list(_cells(function))) < len(function.__closure__ or ()):
        return function
    space: dict[str, Any] = {"__builtins__": builtins, "__name__": function.__module__}
    cells = tuple(types.CellType() for _ in function.__closure__ or ())
    copied = types.FunctionType(function.__code__, space, function.__name__, None, cells)
    done[id(function)] = copied
    copied.__defaults__ = _snapshot(function.__defaults__, done)
    copied.__kwdefaults__ = _snapshot(function.__kwdefaults__, done)
    copied.__qualname__, copied.__module__ = function.__qualname__, function.__module__
    copied.__dict__.update(function.__dict__)
    for name in _global_names(function.__code__) & function.__globals__.keys():
        space[name] = _snapshot(function.__globals__[name], done)
    for cell, (_, value) in zip(cells, _cells(function), strict=True):
        cell.cell_contents = _snapshot(value, done)
    return copied


def _snapshot(value: Any, done: dict[int, Any]) -> Any:
    """A copy of a value that later changes do not reach; what cannot change, or be copied, is kept."""
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, types.FunctionType):
        return _frozen(value, done)
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (tuple, list, set):
        return type(value)(_snapshot(item, done) for item in value)
    if type(value) is dict:
        return {key: _snapshot(item, done) for key, item in value.items()}
    if type(value) is functools.partial:
        keywords = {key: _snapshot(item, done) for key, item in value.keywords.items()}
        return functools.partial(_snapshot(value.func, done), *_snapshot(value.args, done), **keywords)
    if isinstance(value, types.MethodType):
        return types.MethodType(value.__func__, _snapshot(value.__self__, done))
    if isinstance(value, eqx.Module):
        return jax.tree.map(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, value)
    is_tree = hasattr(value, "tree_flatten") and not isinstance(value, type)
    if is_tree and not any(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(value)):
        return value  # constraints are compared by identity
    if is_tree or _is_user_object(value):
        try:
            twin = object.__new__(type(value))
        except TypeError:  # a class that builds on another memory layout is kept as it is
            return value
        done[id(value)] = twin
        twin.__dict__.update({key: _snapshot(item, done) for key, item in vars(value).items()})
        return twin
    return value


def _risky(value: Any) -> str | None:
    if isinstance(value, ARRAYS):
        return "array"
    if isinstance(value, eqx.Module):
        return "module" if any(eqx.is_array(leaf) for leaf in jax.tree.leaves(value)) else None
    if isinstance(value, tuple):
        return next((kind for item in value if (kind := _risky(item))), None)
    if isinstance(value, list | dict | set) and value:
        return "mutable object"
    if isinstance(value, functools.partial):
        return _risky((*value.args, *value.keywords.values()))
    if isinstance(value, types.MethodType):
        return _risky(value.__self__)
    is_function = isinstance(value, types.FunctionType | Function | Constant)
    return "mutable object" if not is_function and _is_user_object(value) and vars(value) else None


_PLAIN = (bool, int, float, complex, str, bytes, tuple, list, dict, *ARRAYS)
_STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]
_PACKAGES = {"diffrax", "equinox", "jax", "jaxlib", "numpy", "numpyro", "optax", "scipy"}  # in whatever folder they are
