"""What a fit may change: declared parameters, and the float arrays of modules in a model.

Data, observations, constants and the numbers of distributions are never learned.
"""

import types
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from gmdsl.core.pytrees.frozen import Frozen
from gmdsl.core.pytrees.function import Function
from gmdsl.core.pytrees.networks import as_module
from gmdsl.graph.factor import Call
from gmdsl.graph.nodes import Param


def freeze(module: Any) -> Frozen:
    """Takes a module out of what `gm.fit` learns.

    Args:
        module: any callable module given to `gm.energy` or `gm.given`: of Equinox or Flax, or a
            `jax.tree_util.Partial` of a function and its weights.

    >>> import equinox as eqx, jax, gmdsl as gm
    >>> net = gm.freeze(eqx.nn.MLP(2, "scalar", 8, 1, key=jax.random.key(0)))
    >>> sum(jax.tree.leaves(learnable(gm.energy(net, x=gm.Real(2)))))
    0
    """
    return Frozen(as_module("freeze(...)", module))


def learnable(tree: Any) -> Any:
    """A tree like the given one with True at the leaves that a fit may change.

    Those are the parameters (`gm.param`) and the float arrays of the modules that are called, wherever they
    sit: in a factor, in a part of a mixture, in the guide of a bound.
    """
    return jax.tree.map(_mark, tree, is_leaf=lambda node: isinstance(node, Call | Param))


def unlearned(model: Any) -> str:
    """What a model without learnable arrays calls, and what to give instead."""
    calls = [n for n in jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, Call)) if isinstance(n, Call)]
    held = [call.function for call in calls if isinstance(call.function, Frozen)]
    plain = [call.function.function for call in calls if isinstance(call.function, Function)]
    objects = [type(f).__name__ for f in plain if not isinstance(f, types.FunctionType | types.BuiltinFunctionType)]
    if held:
        return ": its modules are frozen. Leave gm.freeze out, or declare gm.param nodes"
    if objects:
        return (
            f": the arrays inside {objects[0]} are constants, as those of any object that is no module of Equinox or"
            " Flax. Declare them by gm.param, give such a module, or jax.tree_util.Partial(function, weights)"
        )
    return (
        ". Declare gm.param nodes, or give it a module of Equinox or Flax, or jax.tree_util.Partial(function, weights);"
        " arrays that a function closes over are constants"
    )


def _mark(node: Any) -> Any:
    if isinstance(node, Param):
        return jax.tree.map(lambda _: True, node)
    if isinstance(node, Call):
        return jax.tree.map(_of_module, node, is_leaf=lambda part: isinstance(part, Frozen))
    return False


def _of_module(leaf: Any) -> Any:
    if isinstance(leaf, Frozen):
        return jax.tree.map(lambda _: False, leaf)
    return eqx.is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)
