"""Functions with some of their operations written in another way.

A function is traced once and run equation by equation; what a rule knows a better way for is done that
way, and derivatives follow. Loops, branches and functions with derivatives of their own are not entered.
To trace a function and to take the derivative of its equations is no slower than to do both at once.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.extend import core
from jaxtyping import Array

from gmdsl.core.jaxprs.primitives import PLAIN_CALLS
from gmdsl.core.jaxprs.tape import bound

type Rule = Callable[[Any, list[Any]], Any]
"""From an equation and its operands to its result, or None where the equation stays as it is."""


def rewritten(function: Callable[[Any], Any], rules: Mapping[str, Rule]) -> Callable[[Any], Any]:
    """The same function by other operations.

    Args:
        function: of one array, to a pytree of arrays.
        rules: by name of the primitive, of one result each.
    """

    def apply(eqn: Any, given: list[Any]) -> list[Any]:
        rule, called = rules.get(eqn.primitive.name), _called(eqn)
        result = None if rule is None else rule(eqn, given)
        if result is not None:
            return [result]
        return (
            bound(eqn, given) if called is None or not _found(called.jaxpr, rules) else evaluate(called, given, apply)
        )

    def other(x: Array) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(x)
        return jax.tree.unflatten(jax.tree.structure(shape), evaluate(closed, [x], apply))

    return other


def evaluate(closed: Any, arguments: list[Any], apply: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
    """The values of a program, equation by equation; `apply` gives the results of one at its operands."""
    jaxpr = getattr(closed, "jaxpr", closed)
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=True))
    values |= dict(zip(jaxpr.invars, arguments, strict=True))
    read = lambda atom: atom.val if isinstance(atom, core.Literal) else values[atom]  # noqa: E731
    for eqn in jaxpr.eqns:
        made = apply(eqn, [read(atom) for atom in eqn.invars])
        values |= dict(zip(eqn.outvars, made, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _found(jaxpr: Any, rules: Mapping[str, Rule]) -> bool:
    """Whether a program has an operation of which a rule may know."""
    inner = (called for eqn in jaxpr.eqns if (called := _called(eqn)) is not None)
    return any(eqn.primitive.name in rules for eqn in jaxpr.eqns) or any(_found(c.jaxpr, rules) for c in inner)


def _called(eqn: Any) -> Any:
    """The program that an equation merely calls; None for all others."""
    return eqn.params.get("jaxpr") if eqn.primitive.name in PLAIN_CALLS else None
