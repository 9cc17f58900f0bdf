"""The numbers that functions and declared distributions hold: what may differ where all else is alike.

In a loop over groups, `lambda theta: dist.Normal(theta, sigma[i])` closes over another `i` in each turn. Such functions
are one function of their numbers.
"""

import functools
import types
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gmdsl.core.pytrees.fingerprint import fingerprint
from gmdsl.core.pytrees.function import Constant, Function
from gmdsl.core.pytrees.reads import global_names, is_library, is_unbound


def numbers_in(held: Any) -> tuple[Any, ...]:
    """The numbers of a function (its defaults, its closure, what it reads) or of a distribution, in a fixed order.

    Args:
        held: a `Function` or a `Constant`; anything else has none.

    >>> numbers_in(Function((lambda i, s: lambda x, power=2: s * x**power + i)(3, 0.5)))
    (2, 3, 0.5)
    """
    if isinstance(held, Constant):
        leaves = jax.tree.leaves(held.value)
        return tuple(leaves) if leaves and all(map(_is_float, leaves)) else ()
    if not isinstance(held, Function):
        return ()
    return tuple(value for value in _slots(held.function) if _is_number(value))


def key_without_numbers(held: Any) -> Hashable:
    """Equal for functions and distributions that are the same but for their numbers."""
    numbers = numbers_in(held)
    kinds = tuple((type(n).__name__, np.shape(n), str(_dtype(n))) for n in numbers)
    if isinstance(held, Constant):
        structure = jax.tree.structure(held.value)
        try:
            hash(structure)
        except TypeError:
            return held.key
        return "distribution of numbers", structure, kinds
    return "function of numbers", fingerprint(_with_slots(held.function, iter(["number"] * len(numbers))), []), kinds


def with_numbers(held: Any, numbers: Sequence[Any], places: bool = False) -> Callable[..., Any]:
    """The function, or a function that gives the distribution, with other numbers.

    Args:
        held: a `Function` or a `Constant`.
        numbers: as many as `numbers_in` gives, traced or not.
        places: whether a traced number may be the place in a list, tuple or array of numbers that the function reads,
            as in `means[i]`; they are then JAX's arrays to it where they are indexed so.

    >>> with_numbers(Function((lambda s: lambda x: s * x)(0.5)), [3.0])(2.0)
    6.0
    """
    if isinstance(held, Constant):
        value = jax.tree.unflatten(jax.tree.structure(held.value), list(numbers))
        return lambda: value
    return _with_slots(held.function, iter(numbers), _looked_up if places else lambda value: value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, float | np.ndarray | jax.Array) and _dtype(leaf).kind == "f"


def _dtype(number: Any) -> Any:
    return number.dtype if hasattr(number, "dtype") else np.result_type(number)


def _slots(function: Any) -> list[Any]:
    """The values of defaults, globals, closure cells, and arguments of a partial."""
    if isinstance(function, functools.partial):
        return [*_slots(function.func), *function.args, *function.keywords.values()]
    if not isinstance(function, types.FunctionType):
        return []
    cells = [cell.cell_contents for cell in function.__closure__ or () if not _is_empty(cell)]
    read = [function.__globals__[name] for name in _globals(function)]
    return [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *read, *cells]


class _List(list):
    """A list of numbers that a traced number may be a place of."""

    def __getitem__(self, place: Any) -> Any:
        return jnp.asarray(list(self))[place] if isinstance(place, Tracer) else super().__getitem__(place)


class _Tuple(tuple):
    """A tuple of numbers that a traced number may be a place of."""

    def __getitem__(self, place: Any) -> Any:
        return jnp.asarray(tuple(self))[place] if isinstance(place, Tracer) else super().__getitem__(place)


def _looked_up(value: Any) -> Any:
    """A list, tuple or array of numbers in which a traced number finds its entry; anything else as it is."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fi":
        with jax.ensure_compile_time_eval():  # NumPy's functions of it are still NumPy's
            return jnp.asarray(value)
    kind = {list: _List, tuple: _Tuple}.get(type(value))
    alike = kind is not None and len({type(item) for item in value}) == 1 and _is_number(value[0])
    return kind(value) if kind is not None and alike else value


def _with_slots(function: Any, numbers: Any, seen: Callable[[Any], Any] = lambda value: value) -> Any:
    """A copy of a function with other numbers in these places, and what it reads beside them as `seen`."""
    other = lambda value: next(numbers) if _is_number(value) else seen(value)  # noqa: E731
    if isinstance(function, functools.partial):
        inner = _with_slots(function.func, numbers, seen)
        args = [other(value) for value in function.args]
        return functools.partial(inner, *args, **{name: other(value) for name, value in function.keywords.items()})
    if not isinstance(function, types.FunctionType):
        return function
    defaults = tuple(other(value) for value in function.__defaults__) if function.__defaults__ else None
    named = {name: other(value) for name, value in (function.__kwdefaults__ or {}).items()}
    space = {name: other(function.__globals__[name]) for name in _globals(function)}
    cells = tuple(c if _is_empty(c) else types.CellType(other(c.cell_contents)) for c in function.__closure__ or ())
    known = {**function.__globals__, **space} if space else function.__globals__
    made = types.FunctionType(
        function.__code__, known, function.__name__, defaults, cells if function.__closure__ else None
    )
    made.__kwdefaults__ = named or None
    return made


def _globals(function: types.FunctionType) -> list[str]:
    """The globals that a function reads, of one that has a copy of them."""
    if is_library(function) or is_unbound(function):
        return []
    return sorted(global_names(function.__code__) & function.__globals__.keys())


def _is_empty(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False
