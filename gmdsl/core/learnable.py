"""What a fit may change: declared parameters, and the float arrays of modules in a model.

Data, observations, constants and the numbers of distributions are never learned.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from gmdsl.core.factor import Call


class Frozen(eqx.Module):
    """A module that is called as before and never learned."""

    module: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


def freeze(module: Any) -> Frozen:
    """Takes a module out of what `gm.fit` learns.

    Args:
        module: any callable module given to `gm.energy` or `gm.given`.

    >>> import equinox as eqx, jax, gmdsl as gm
    >>> net = gm.freeze(eqx.nn.MLP(2, "scalar", 8, 1, key=jax.random.key(0)))
    >>> sum(jax.tree.leaves(learnable(gm.energy(net, x=gm.Real(2)))))
    0
    """
    return Frozen(module)


def learnable(model: Any) -> Any:
    """A tree like the model with True at the leaves that a fit may change."""
    nothing = jax.tree.map(lambda _: False, model)
    factors = tuple(
        jax.tree.map(_of_call, factor, is_leaf=lambda node: isinstance(node, Call)) for factor in model.factors
    )
    params = jax.tree.map(lambda _: True, model.params)
    return eqx.tree_at(lambda m: (m.factors, m.params), nothing, (factors, params))


def _of_call(node: Any) -> Any:
    if not isinstance(node, Call):
        return False
    return jax.tree.map(_of_module, node, is_leaf=lambda part: isinstance(part, Frozen))


def _of_module(leaf: Any) -> Any:
    if isinstance(leaf, Frozen):
        return jax.tree.map(lambda _: False, leaf)
    return eqx.is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)
