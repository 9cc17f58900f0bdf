"""Declaring models by one function, `energy` and `from_callable`, and what `joint` shares with them.

The parents of a node are the names of its function's arguments without defaults. Everything is
probed with shapes when it is declared, so that mistakes appear here and not inside a sampler.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Function
from gmdsl.core.pytrees.networks import as_module
from gmdsl.core.pytrees.reads import arguments
from gmdsl.graph.factor import Energy
from gmdsl.graph.names import check_name
from gmdsl.models.declare.calls import Captured, Fixed, call_of, warn_of_captured
from gmdsl.models.model import Model
from gmdsl.models.probe.indices import check_fixed_indices, check_indices, check_labels
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
    function = as_module("from_callable(...)", function)
    if not isinstance(function, eqx.Module):
        names = arguments(function)
        if len(names) == 1 and names[0] not in variables:
            name = name or _label(function, "log_density")
            function = _Bundle(Function(function), tuple(variables))
    return _energy(function, "from_callable", name, variables, 1.0)


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
    held: dict[str, Captured] = {}
    call = call_of(verb, label, function, list(variables), held)
    warn_of_captured(held, 3)
    unused = [node for node in spaces if node not in call.variables]
    if unused:
        listed = ", ".join(call.variables) or "none"
        raise SpecError(
            f"{verb}(...): {unused[0]} was declared, but {label} has the arguments {listed}."
            f" Name an argument {unused[0]}, or leave the variable out."
        )
    probe_energy(label, call, {**fixed.known(), **{n: abstract(s) for n, s in spaces.items()}})
    model = Model(
        factors=(Energy(call, label, sign),),
        declared=tuple(spaces.items()),
        data=fixed.data,
        params=fixed.params,
        inputs=tuple(fixed.inputs.items()),
        constants=tuple(fixed.constants.items()),
    )
    check_indices(f"{verb}(...)", model, fixed.data)
    check_fixed_indices(f"{verb}(...)", model)
    check_labels(f"{verb}(...)", model)
    return model


class _Bundle(eqx.Module):
    """Calls a function of one argument with the only variable, or with the dict of all of them."""

    function: Function
    names: tuple[str, ...] = eqx.field(static=True)

    def __call__(self, *values: Any) -> Any:
        return self.function(values[0] if len(values) == 1 else dict(zip(self.names, values, strict=True)))


def _label(function: Any, verb: str) -> str:
    label = getattr(function, "__name__", type(function).__name__)
    return ("energy" if verb == "energy" else "log_density") if label == "<lambda>" else label.lstrip("_")
