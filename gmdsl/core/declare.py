"""Declaring models: `energy`, `joint`, `from_callable`.

The parents of a node are the names of its function's arguments without defaults. Everything is
probed with shapes when it is declared, so that mistakes appear here and not inside a sampler.
"""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from gmdsl.core.conditional import Distributed
from gmdsl.core.errors import CaptureWarning, SpecError, unknown_name
from gmdsl.core.factor import Call, Deterministic, Energy, Factor, call_by_name, call_by_order
from gmdsl.core.function import Constant, Function, arguments, captured
from gmdsl.core.graph import ordered
from gmdsl.core.model import Model
from gmdsl.core.names import RESERVED, check_name
from gmdsl.core.node import Data, Given, Input, Param
from gmdsl.core.probe import abstract, is_distribution, probe_energy, probe_node, probe_numbers
from gmdsl.core.scan import Steps
from gmdsl.core.series import Series, probe_series
from gmdsl.core.space import Space


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


def joint(nodes: Mapping[str, Any] | None = None, /, **named: Any) -> Model:
    """A directed joint density, one node per name.

    A node is a NumPyro distribution, a function of other nodes (its argument names) that returns a
    distribution or a value, a path (`gm.scan`), a module tied by `gm.given`, `gm.data`, `gm.param`, `gm.input`, or a
    number.

    Args:
        nodes: nodes by name, for names that are not identifiers.
        named: nodes by name; `dims` and `coords` are reserved for names of dimensions and their labels.

    Raises:
        SpecError: unknown or duplicate names, a cycle, shapes that do not fit, constants outside
            their constraint.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> model = gm.joint(mu=dist.Normal(0.0, 5.0), x=lambda mu: dist.Normal(mu, 1.0).expand([3]))
    >>> model.spaces["x"]
    Real(shape=(3,))
    """
    dims, coords = named.pop("dims", None), named.pop("coords", None)
    twice = sorted(set(nodes or {}) & set(named))
    if twice:
        raise SpecError(
            f"joint({twice[0]}=...): {twice[0]} is declared twice, in the dict and by keyword."
            " Give each node a name of its own."
        )
    everything = {**(nodes or {}), **named}
    calls: dict[str, Call | Steps] = {}
    fixed = _Fixed()
    for node, value in everything.items():
        if not fixed.take(node, value):
            calls[node] = _node_call(node, value, list(everything))
    return _assemble(calls, fixed, dims, coords)


class _Fixed:
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
        shapes = {n: jax.ShapeDtypeStruct(np.shape(v), _canonical(v)) for n, v in self.data.items()}
        shapes |= {n: abstract(p.space) for n, p in self.params.items()}
        shapes |= {n: abstract(space) for n, space in self.inputs.items()}
        return {**shapes, **self.constants}


def _assemble(calls: dict[str, Call | Steps], fixed: _Fixed, dims: Any, coords: Any) -> Model:
    known = fixed.known()
    spaces: dict[str, Space] = {}
    factors: list[Factor] = []
    for draft in ordered(Deterministic(name, call) for name, call in calls.items()):  # ty: ignore[invalid-argument-type]
        name = draft.children[0]
        call = calls[name]
        if isinstance(call, Steps):
            path = probe_series(name, call, known)
            spaces[name], known[name] = path.space, abstract(path.space)
            factors.append(path)
            continue
        space, random, proper = probe_node(name, call, known)
        probe_numbers(name, call, known, fixed.data)
        spaces[name], known[name] = space, abstract(space)
        if not random and isinstance(call.function, Constant):
            raise SpecError(f"{name}: a constant array is not a node. Wrap it, {name}=gm.data(...).")
        factors.append(Distributed(name, call, proper) if random else Deterministic(name, call))
    rank = {name: i for i, name in enumerate(calls)}
    factors.sort(key=lambda factor: rank[factor.children[0]])
    return Model(
        factors=tuple(factors),
        declared=tuple((name, spaces[name]) for name in calls),
        data=fixed.data,
        params=fixed.params,
        inputs=tuple(fixed.inputs.items()),
        constants=tuple(fixed.constants.items()),
        dims=_checked_dims(
            dims, coords, {n: s.shape for n, s in spaces.items()} | {n: v.shape for n, v in fixed.data.items()}
        ),
        coords=_checked_coords(coords),
    )


def _energy(function: Any, verb: str, name: str | None, variables: dict[str, Any], sign: float) -> Model:
    fixed, spaces = _Fixed(), {}
    for node, value in variables.items():
        check_name(node)
        if isinstance(value, Space):
            spaces[node] = value
        elif not fixed.take(node, value):
            raise SpecError(f"{verb}({node}=...): a space is needed, such as gm.Real(2), not {type(value).__name__}.")
    if not spaces:
        raise SpecError(f"{verb}(...): no variable was declared. Name one with its space, as in x=gm.Real(2).")
    label = name or _label(function, verb)
    call = _call(verb, label, function, list(variables))
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


def _node_call(node: str, value: Any, names: list[str]) -> Call | Steps:
    """The calls behind a node of a joint."""
    if not isinstance(value, Series):
        return _call("joint", node, value, names)
    _warn(node, value.captured())
    _check_known("joint", node, value.steps.variables, names)
    return value.steps


def _call(verb: str, node: str, value: Any, names: list[str]) -> Call:
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
        _warn(node, captured(value), 5)
        call = call_by_name(value)
    else:
        raise SpecError(
            f"{node}: {type(value).__name__} is not a node. Use a distribution, a function of other nodes,"
            " gm.data(array), gm.param(init) or gm.input(space)."
        )
    _check_known(verb, node, call.variables, names)
    return call


def _check_known(verb: str, node: str, variables: tuple[str, ...], names: list[str]) -> None:
    for variable in variables:
        if variable not in names:
            others = [n for n in names if n != node]
            fix = f"Declare it, {variable}=..., or rename the argument."
            raise unknown_name(f"{verb}({node}=...)", variable, others, "names declared here", fix)


def _warn(node: str, found: list[tuple[str, str]], stacklevel: int = 5) -> None:
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


def _canonical(value: Any) -> Any:
    return jax.dtypes.canonicalize_dtype(np.asarray(value).dtype)


def _checked_dims(dims: Any, coords: Any, shapes: dict[str, tuple[int, ...]]) -> tuple[tuple[str, Any], ...]:
    for name, labels in (dims or {}).items():
        clash = [label for label in labels if label in shapes or label in RESERVED]
        if clash and not isinstance(labels, str):
            raise SpecError(
                f"joint(dims=...): the dimension {clash[0]!r} of {name} has the name of a variable. Rename it."
            )
        if name not in shapes:
            raise unknown_name(f"joint(dims={{{name!r}: ...}})", name, shapes)
        shape = shapes[name]
        if isinstance(labels, str) or len(labels) > len(shape):
            raise SpecError(f"joint(dims=...): {name} has shape {shape}, dims {labels!r}. Name one dimension per axis.")
        for size, label in zip(shape, labels, strict=False):
            if label in (coords or {}) and len(coords[label]) != size:
                raise SpecError(
                    f"joint(coords=...): {label} has {len(coords[label])} labels, but that axis of {name} has {size}."
                    " Give one label per element."
                )
    return tuple((name, tuple(labels)) for name, labels in (dims or {}).items())


def _checked_coords(coords: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((name, tuple(np.asarray(labels).tolist())) for name, labels in (coords or {}).items())
