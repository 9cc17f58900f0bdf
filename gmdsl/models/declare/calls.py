"""What declarations share: nodes sorted by kind, and the call behind a node with every argument known."""

import functools
import warnings
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from gmdsl.core.errors import CaptureWarning, SpecError, unknown_name
from gmdsl.core.pytrees.function import Constant, captured
from gmdsl.core.pytrees.networks import as_module
from gmdsl.core.pytrees.reads import arguments
from gmdsl.distributions.recognise import is_distribution
from gmdsl.graph.factor import Call, call_by_name, call_by_order
from gmdsl.graph.names import check_name
from gmdsl.graph.nodes import Data, Given, Input, Param
from gmdsl.spaces.space import Space, abstract

type Captured = list[tuple[str, str]]  # names and kinds

SHOWN = 3  # nodes that a warning names


class Fixed:
    """The nodes that are not random, sorted by kind."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.params: dict[str, Param] = {}
        self.inputs: dict[str, Space] = {}
        self.constants: dict[str, Any] = {}

    def take(self, name: str, value: Any) -> bool:
        check_name(name)
        if isinstance(value, Data):
            self.data[name] = value.value
        elif isinstance(value, Param):
            self.params[name] = value
        elif isinstance(value, Input):
            self.inputs[name] = value.space
        elif isinstance(value, bool | int | float):
            self.constants[name] = value
        else:
            return False
        return True

    def spaces(self) -> dict[str, Space]:
        """Spaces of parameters and inputs."""
        return {**{name: param.space for name, param in self.params.items()}, **self.inputs}

    def known(self) -> dict[str, Any]:
        shapes = {n: jax.ShapeDtypeStruct(np.shape(v), canonical(v)) for n, v in self.data.items()}
        shapes |= {n: abstract(p.space) for n, p in self.params.items()}
        shapes |= {n: abstract(space) for n, space in self.inputs.items()}
        return {**shapes, **self.constants}


def call_of(verb: str, node: str, value: Any, names: list[str], held: dict[str, Captured] | None = None) -> Call:
    """The call behind a node, with every argument known.

    Args:
        verb: what the user called, for messages.
        node: its name.
        value: what was declared.
        names: of all nodes.
        held: where what a function closes over is noted by node, for one warning of all nodes.
    """
    given, value = value, value if isinstance(value, Given) or _is_named_partial(value) else as_module(node, value)
    if isinstance(value, Given):
        call = call_by_order(value.function, value.variables)
    elif is_distribution(value):
        call = call_by_name(Constant(value))
    elif isinstance(value, type):
        raise SpecError(f"{node}: {value.__name__} is a class. Make one, as in {value.__name__}(...).")
    elif isinstance(value, eqx.Module) or (callable(value) and not _has_names(value)):
        if verb == "joint":
            raise SpecError(f'{node}: a module or builtin needs its parents. Write {node}=gm.given("parent", ...).')
        _check_order(node, given, names)
        call = call_by_order(value, tuple(names))
    elif callable(value):
        if held is not None:
            held[node] = captured(value)
        call = call_by_name(value)
    else:
        raise SpecError(
            f"{node}: {type(value).__name__} is not a node. Use a distribution, a function of other nodes,"
            " gm.data(array), gm.param(init) or gm.input(space)."
        )
    check_known(verb, node, call.variables, names)
    return call


def _check_order(node: str, module: Any, names: list[str]) -> None:
    """Refuses a module whose arguments have the names of the variables in another order than they were declared."""
    try:
        called = list(arguments(module))
    except (TypeError, ValueError):
        return
    if set(called) == set(names) and called != names:
        raise SpecError(
            f"{node}: {type(module).__name__} has the arguments {', '.join(called)}, and a module is called with the"
            f" variables in the order declared, {', '.join(names)}. Declare them in the order of the arguments."
        )


def check_known(verb: str, node: str, variables: tuple[str, ...], names: list[str]) -> None:
    """Refuses arguments of a node that nothing was declared for."""
    for variable in variables:
        if variable not in names:
            others = [n for n in names if n != node]
            fix = f"Declare it, {variable}=..., or rename the argument."
            raise unknown_name(f"{verb}({node}=...)", variable, others, "names declared here", fix)


def warn_of_captured(held: Mapping[str, Captured], stacklevel: int) -> None:
    """Warns once of arrays and mutable objects that the functions of a declaration close over.

    Args:
        held: names and kinds of what each function closes over, by node.
        stacklevel: how many calls above this one the user's line is, counted as by `warnings.warn`.
    """
    found = [(node, ", ".join(f"'{name}' ({kind})" for name, kind in some)) for node, some in held.items() if some]
    if not found:
        return
    if len(found) == 1:
        told = f"{found[0][0]}: its function closes over {found[0][1]}, frozen as it is now."
    else:
        first = "; ".join(f"{node} over {some}" for node, some in found[:SHOWN])
        more = f"; and {len(found) - SHOWN} more nodes" if len(found) > SHOWN else ""
        told = f"{len(found)} functions close over arrays or mutable objects, frozen as they are now: {first}{more}."
    fix = " Pass arrays as gm.data and modules through gm.given."
    warnings.warn(told + fix, CaptureWarning, stacklevel=stacklevel + 1)


def _is_named_partial(value: Any) -> bool:
    """Whether a value is a function with its weights whose other arguments are named, as are those of a function."""
    return isinstance(value, jax.tree_util.Partial) and not hasattr(value.func, "__self__") and _has_names(value.func)


def _has_names(function: Any) -> bool:
    """Whether a callable has argument names that a user wrote (a function, a jitted function)."""
    return hasattr(function, "__code__") or isinstance(function, functools.partial) or hasattr(function, "__wrapped__")


def canonical(value: Any) -> Any:
    """The dtype that JAX gives a value."""
    return jax.dtypes.canonicalize_dtype(np.asarray(value).dtype)
