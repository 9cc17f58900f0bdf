"""How values depend on inputs, read off a traced program.

A pass over a jaxpr gives each value a *state*, `CONSTANT` where it depends on no input. What an
operation does to states is a rule that lists what it knows; all it does not know is `UNKNOWN`. So the
answer is sound: it may be too careful, never too bold. (Derivatives are not: those of `sign(z)` and
`where(z > 0, 1, 2)` are zero, and neither is constant.)
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Literal

from gmdsl.core.jaxprs.primitives import CALLS

CONSTANT = "constant"
UNKNOWN = "unknown"

type States = list[Any]
type Rule = Callable[[Any, States], Any]


def output_states(function: Callable[..., Any], inputs: Sequence[Any], states: States, rule: Rule) -> Any:
    """The state of each output of a function.

    Args:
        function: of as many arguments as inputs, each an array; what it closes over is constant.
        inputs: arrays or shapes.
        states: the state of each input.
        rule: the state of the outputs of an equation, given those of its operands, one of which at
            least is not constant.

    Returns:
        The structure of the output with states in place of arrays.
    """
    traced, shape = jax.make_jaxpr(function, return_shape=True)(*inputs)
    found = _flow(traced.jaxpr, [CONSTANT] * len(traced.jaxpr.constvars), states, rule)
    return jax.tree.unflatten(jax.tree.structure(shape), found)


def _flow(jaxpr: Any, constants: States, states: States, rule: Rule) -> States:
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *states], strict=True))

    def read(atom: Any) -> Any:
        return CONSTANT if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        closed = called(equation)
        inner = getattr(closed, "jaxpr", closed)
        if all(state == CONSTANT for state in operands):
            found = [CONSTANT] * len(equation.outvars)
        elif UNKNOWN in operands:
            found = [UNKNOWN] * len(equation.outvars)
        elif inner is not None and len(inner.invars) == len(operands):
            found = _flow(inner, [CONSTANT] * len(inner.constvars), operands, rule)
        else:
            found = [rule(equation, operands)] * len(equation.outvars)
        known.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def called(equation: Any) -> Any:
    """The (closed) program that an equation calls once, with its own operands; None for other equations."""
    if equation.primitive.name not in CALLS:
        return None
    return next((equation.params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in equation.params), None)
