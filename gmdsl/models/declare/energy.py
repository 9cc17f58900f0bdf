"""Declaring models by one function, `energy` and `from_callable`, and what `joint` shares with them.

The parents of a node are the names of its function's arguments without defaults. Everything is
probed with shapes when it is declared, so that mistakes appear here and not inside a sampler.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from gmdsl.core.errors import CaptureWarning, SpecError, unknown_name
from gmdsl.core.pytrees.function import Constant, Function, captured
from gmdsl.core.pytrees.reads import arguments
from gmdsl.distributions.recognise import is_distribution
from gmdsl.graph.factor import Call, Energy, call_by_name, call_by_order
from gmdsl.graph.names import check_name
from gmdsl.graph.nodes import Data, Given, Input, Param
from gmdsl.models.model import Model
from gmdsl.models.probe.shapes import probe_energy
from gmdsl.spaces.space import Space, abstract


def energy(function: Callable[..., Any], /, *, name: str | None = None, **variables: Any) -> Model:
    r"""An energy-based model, $p(x) = \exp(-E(x)) / Z$.

    Args:
        function: the energy of one point, a scalar. Arguments are matched to variables by name; a
            module (an `equinox.Module`) is called with the variables in the order declared.
        name: what the term is called; by default the name of the function.
        variables: a `Space` for each variable; `gm.data`, `gm.param` and `gm.input` are allowed too.

    Raises:
        SpecError: an argument without a variable, an energy that is not a scalar.

    >>> import gmdsl as gm, jax.numpy as jnp
    >>> ring = gm.energy(lambda x: 4.0 * (jnp.linalg.norm(x) - 2.0) ** 2, x=gm.Real(2))
    >>> ring.free
    ('x',)
    """
    return _energy(function, "energy", name, variables, -1.0)


def from_callable(function: Callable[..., Any], /, *, name: str | None = None, **variables: Any) -> Model:
    """A model from any JAX function that returns a log-density (up to a constant).

    Args:
        function: the log-density of one point, a scalar. Arguments are matched by name; a function
            of one argument with another name gets the only variable, or the dict of all of them.
        name: what the term is called.
        variables: a `Space` for each variable.

    Raises:
        SpecError: as `gm.energy`.

    >>> import gmdsl as gm
    >>> gm.from_callable(lambda position: -0.5 * position["x"] ** 2 - position["y"] ** 2, x=gm.Real(), y=gm.Real()).free
    ('x', 'y')
    """
    if not isinstance(function, eqx.Module):
        names = arguments(function)
        if len(names) == 1 and names[0] not in variables:
            name = name or _label(function, "log_density")
            function = _Bundle(Function(function), tuple(variables))
    return _energy(function, "from_callable", name, variables, 1.0)


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

    def known(self) -> dict[str, Any]:
        shapes = {n: jax.ShapeDtypeStruct(np.shape(v), canonical(v)) for n, v in self.data.items()}
        shapes |= {n: abstract(p.space) for n, p in self.params.items()}
        shapes |= {n: abstract(space) for n, space in self.inputs.items()}
        return {**shapes, **self.constants}


def _energy(function: Any, verb: str, name: str | None, variables: dict[str, Any], sign: float) -> Model:
    fixed, spaces = Fixed(), {}
    for node, value in variables.items():
        check_name(node)
        if isinstance(value, Space):
            spaces[node] = value
        elif not fixed.take(node, value):
            raise SpecError(f"{verb}({node}=...): a space is needed, such as gm.Real(2), not {type(value).__name__}.")
    if not spaces:
        raise SpecError(f"{verb}(...): no variable was declared. Name one with its space, as in x=gm.Real(2).")
    label = name or _label(function, verb)
    call = call_of(verb, label, function, list(variables))
    unused = [node for node in spaces if node not in call.variables]
    if unused:
        listed = ", ".join(call.variables) or "none"
        raise SpecError(
            f"{verb}(...): {unused[0]} was declared, but {label} has the arguments {listed}."
            f" Name an argument {unused[0]}, or leave the variable out."
        )
    probe_energy(label, call, {**fixed.known(), **{n: abstract(s) for n, s in spaces.items()}})
    return Model(
        factors=(Energy(call, label, sign),),
        declared=tuple(spaces.items()),
        data=fixed.data,
        params=fixed.params,
        inputs=tuple(fixed.inputs.items()),
        constants=tuple(fixed.constants.items()),
    )


def call_of(verb: str, node: str, value: Any, names: list[str]) -> Call:
    """The call behind a node, with every argument known."""
    if isinstance(value, Given):
        call = call_by_order(value.function, value.variables)
    elif is_distribution(value):
        call = call_by_name(Constant(value))
    elif isinstance(value, type):
        raise SpecError(f"{node}: {value.__name__} is a class. Make one, as in {value.__name__}(...).")
    elif isinstance(value, eqx.Module) or (callable(value) and not _has_names(value)):
        if verb == "joint":
            raise SpecError(f'{node}: a module or builtin needs its parents. Write {node}=gm.given("parent", ...).')
        call = call_by_order(value, tuple(names))
    elif callable(value):
        warn_of_captured(node, captured(value), 5)
        call = call_by_name(value)
    else:
        raise SpecError(
            f"{node}: {type(value).__name__} is not a node. Use a distribution, a function of other nodes,"
            " gm.data(array), gm.param(init) or gm.input(space)."
        )
    check_known(verb, node, call.variables, names)
    return call


def check_known(verb: str, node: str, variables: tuple[str, ...], names: list[str]) -> None:
    """Refuses arguments of a node that nothing was declared for."""
    for variable in variables:
        if variable not in names:
            others = [n for n in names if n != node]
            fix = f"Declare it, {variable}=..., or rename the argument."
            raise unknown_name(f"{verb}({node}=...)", variable, others, "names declared here", fix)


def warn_of_captured(node: str, found: list[tuple[str, str]], stacklevel: int = 5) -> None:
    """Warns of arrays and mutable objects that a function closes over."""
    if found:
        listed = ", ".join(f"'{name}' ({kind})" for name, kind in found)
        warnings.warn(
            f"{node}: its function closes over {listed}, frozen as it is now."
            " Pass arrays as gm.data and modules through gm.given.",
            CaptureWarning,
            stacklevel=stacklevel,
        )


class _Bundle(eqx.Module):
    """Calls a function of one argument with the only variable, or with the dict of all of them."""

    function: Function
    names: tuple[str, ...] = eqx.field(static=True)

    def __call__(self, *values: Any) -> Any:
        return self.function(values[0] if len(values) == 1 else dict(zip(self.names, values, strict=True)))


def _has_names(function: Any) -> bool:
    """Whether a callable has argument names that a user wrote (a function, a jitted function)."""
    return hasattr(function, "__code__") or isinstance(function, functools.partial) or hasattr(function, "__wrapped__")


def _label(function: Any, verb: str) -> str:
    label = getattr(function, "__name__", type(function).__name__)
    return ("energy" if verb == "energy" else "log_density") if label == "<lambda>" else label.lstrip("_")


def canonical(value: Any) -> Any:
    """The dtype that JAX gives a value."""
    return jax.dtypes.canonicalize_dtype(np.asarray(value).dtype)
