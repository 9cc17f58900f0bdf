"""A user's function as a value: compared by what it computes, not by where it lives.

Two lambdas with the same code, defaults, closure values and globals they read are the same
function, so a model that is rebuilt with the same lambdas hits the same compiled program. What a
function reads is snapshotted when it is wrapped: a loop variable, a global or an array that changes
later does not reach a model that is declared already. Arrays count by content.
"""

import functools
import types
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from gmdsl.core.pytrees.fingerprint import Keyed, fingerprint
from gmdsl.core.pytrees.reads import ARRAYS, is_user_object, values_read
from gmdsl.core.pytrees.snapshot import snapshot


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
            self.by_precision[double] = snapshot(self.first, {})
        return self.by_precision[double]


@jax.tree_util.register_static
class Function(Keyed):
    """A plain function, hashable by its fingerprint; a pytree node without leaves."""

    def __init__(self, function: Callable[..., Any]):
        self.function = snapshot(function, {})
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
class Constant(Keyed):
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


def captured(function: Callable[..., Any]) -> list[tuple[str, str]]:
    """Names and kinds of the arrays, modules and mutable containers a function closes over."""
    defaults = [("a default", v) for v in (getattr(function, "__defaults__", None) or ())]
    defaults += list((getattr(function, "__kwdefaults__", None) or {}).items())
    return [(name, kind) for name, value in (*values_read(function), *defaults) if (kind := _risky(value))]


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
    return "mutable object" if not is_function and is_user_object(value) and vars(value) else None
