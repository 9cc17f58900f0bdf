r"""Sums over all states of a discrete model: $\log \sum_s f(s)$ and $E[g] = \sum_s p(s)\, g(s)$, exactly.

The sum is taken by the rules of marginalisation. An expectation is a derivative of it,
$E[g] = \frac{d}{d\epsilon} \log \sum_s f(s)\, e^{\epsilon g(s)}$ at zero, so it needs no more than the
sum does where g is a sum of functions of a few elements each.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Function
from gmdsl.exact.choose import rule_for
from gmdsl.exact.elimination.blocks import LEAST, in_blocks
from gmdsl.exact.elimination.eliminate import log_sum_exp
from gmdsl.exact.rule import Rule
from gmdsl.exact.rules.enumeration import MOST_STATES
from gmdsl.graph.evaluate import completed, log_density
from gmdsl.graph.factor_graph import FactorGraph, known
from gmdsl.spaces.space import Space, abstract
from gmdsl.spaces.states import joint_states


def log_sum(model: FactorGraph) -> Float[Array, ""]:
    r"""The logarithm of the sum of the density over all states of the free variables.

    Args:
        model: a model whose free variables are all discrete and finite; works under `jax.jit` and `jax.grad`.

    Raises:
        SpecError: a variable is continuous or has infinitely many values, an input is not bound, or no rule
            sums it; the message says why.

    >>> import gmdsl as gm, jax.numpy as jnp
    >>> ring = gm.energy(lambda s: -0.5 * jnp.sum(s * jnp.roll(s, 1)), s=gm.Spin(50))
    >>> transfer = jnp.cosh(0.5) ** 50 + jnp.sinh(0.5) ** 50
    >>> bool(jnp.allclose(log_sum(ring), 50 * jnp.log(2.0) + jnp.log(transfer), rtol=1e-5))
    True
    """
    _check("log_sum(...)", model)
    return _log_sum(model, repr(model.constants))


def expectation_of(model: FactorGraph, function: Callable[[Mapping[str, Array]], Any]) -> Any:
    r"""The expectation of a function under a discrete model, $\sum_s p(s)\, g(s)$.

    Args:
        model: as in `log_sum`; it need not be normalised.
        function: from a dict of all named values to an array (or number) of any shape.

    Raises:
        SpecError: as `log_sum`; or the function joins too many variables at once.

    >>> import gmdsl as gm, jax.numpy as jnp
    >>> ring = gm.energy(lambda s: -0.5 * jnp.sum(s * jnp.roll(s, 1)), s=gm.Spin(50))
    >>> bool(jnp.allclose(expectation_of(ring, lambda v: v["s"][0] * v["s"][1]), jnp.tanh(0.5), rtol=1e-5))
    True
    """
    _check("expectation_of(...)", model)
    return _expectation(model, repr(model.constants), Function(function))


@eqx.filter_jit
def _expectation(model: FactorGraph, types: str, function: Function) -> Array:
    """The expectation, compiled once per structure of the model and per function; `types` as in `_log_sum`."""
    del types
    spaces = {name: model.spaces[name] for name in model.free}
    states = joint_states(spaces, MOST_STATES)

    def value(state: Mapping[str, Array]) -> Array:
        return jnp.asarray(function(completed(model, state)), float)

    if states is not None:
        density = jax.vmap(lambda state: log_density(model, {**known(model), **state}))(states)
        return _mean(jax.nn.softmax(density), jax.vmap(value)(states))

    def tilted(tilt: Array) -> Array:
        def exponent(state: Mapping[str, Array]) -> Array:
            return log_density(model, state, LEAST) + jnp.sum(tilt * value(state))

        found = log_sum_exp(*in_blocks(exponent, spaces))
        if isinstance(found, str):
            raise SpecError(
                f"expectation_of(...): too many states to list, and variable elimination does not apply ({found})."
                " Take a function of fewer variables at once, or estimate it by gm.sample."
            )
        return found

    point = {name: abstract(space) for name, space in spaces.items()}
    return jax.grad(tilted)(jnp.zeros(jax.eval_shape(value, point).shape))


@eqx.filter_jit
def _log_sum(model: FactorGraph, types: str) -> Array:
    """The sum by the rule that suits; the types of the constants are an argument because equality does not see them."""
    del types
    values = known(model)
    constants = dict(model.constants)
    shapes = {n: v if n in constants else jax.ShapeDtypeStruct(v.shape, v.dtype) for n, v in values.items()}
    rule = rule_for(model, model.free, shapes)
    if not isinstance(rule, Rule):
        raise SpecError(f"log_sum(...): no rule sums over {', '.join(model.free)} ({rule}). Estimate it by gm.log_z.")
    return rule.log_density(model, model.free, values)


def _mean(weights: Array, values: Array) -> Array:
    """The weighted mean, where what has no weight does not count even if it is infinite."""
    weights = weights.reshape(-1, *(1,) * (values.ndim - 1))
    return jnp.sum(weights * jnp.where(weights > 0, values, 0.0), axis=0)


def _check(operation: str, model: FactorGraph) -> dict[str, Space]:
    """The spaces of the free variables, which are finite."""
    if model.inputs:
        raise SpecError(f"{operation}: the input {model.inputs[0][0]} has no value. Bind it by .condition(...).")
    if not model.free:
        raise SpecError(f"{operation}: no variable is free, so there is nothing to sum over. Compile the model.")
    for name in model.free:
        if not model.spaces[name].discrete or model.spaces[name].cardinality is None:
            raise SpecError(
                f"{operation}: {name} lives in {model.spaces[name].title}, so its states cannot be listed."
                " Sums are over finite discrete variables."
            )
    return {name: model.spaces[name] for name in model.free}
