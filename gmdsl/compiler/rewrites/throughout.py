"""Functions with some of their operations written in another way, those in loops, branches and calls included.

The programs inside of an equation (the body of a loop, the branches, what a call runs) are rewritten where they
stand. A derivative taken afterwards would miss what is rewritten there: take it before.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.extend import core

from gmdsl.compiler.rewrites.rewrite import Rule, evaluate
from gmdsl.core.jaxprs.tape import bound


def rewritten_throughout(function: Callable[..., Any], rules: Mapping[str, Rule]) -> Callable[..., Any]:
    """The same function by other operations; one without any of them runs the equations that it has.

    Args:
        function: of pytrees of arrays, to one; its derivative is taken no more.
        rules: by name of the primitive, of one result each.
    """

    def apply(eqn: Any, given: list[Any]) -> list[Any]:
        rule = rules.get(eqn.primitive.name)
        result = None if rule is None else rule(eqn, given)
        return bound(inside(eqn), given) if result is None else [result]

    def inside(eqn: Any) -> Any:
        """An equation, its programs rewritten."""
        changed = {name: jax.tree.map(changed_, value, is_leaf=_is_program) for name, value in _programs(eqn).items()}
        return eqn.replace(params={**eqn.params, **changed}) if changed else eqn

    def changed_(program: Any) -> Any:
        if not _has(program, rules):
            return program
        shapes = [variable.aval for variable in getattr(program, "jaxpr", program).invars]
        made = jax.make_jaxpr(lambda *given: evaluate(program, list(given), apply))(*shapes)
        if isinstance(program, core.ClosedJaxpr):
            return made
        return program if made.consts else made.jaxpr

    def other(*arguments: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        return jax.tree.unflatten(jax.tree.structure(shape), evaluate(closed, jax.tree.leaves(arguments), apply))

    return other


def _has(program: Any, rules: Mapping[str, Rule]) -> bool:
    """Whether a program has an operation of which a rule may know, at any depth."""
    return any(
        eqn.primitive.name in rules
        or any(_has(inner, rules) for inner in jax.tree.leaves(_programs(eqn), is_leaf=_is_program))
        for eqn in getattr(program, "jaxpr", program).eqns
    )


def _programs(eqn: Any) -> dict[str, Any]:
    """The parameters of an equation that are a program, or several, by name."""
    return {
        name: value
        for name, value in eqn.params.items()
        if _is_program(value) or (isinstance(value, tuple) and value and all(map(_is_program, value)))
    }


def _is_program(value: Any) -> bool:
    return isinstance(value, core.ClosedJaxpr | core.Jaxpr)
