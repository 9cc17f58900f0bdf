r"""Sums over all states of a discrete model: $\log \sum_s f(s)$ and $E[g] = \sum_s p(s)\, g(s)$, exactly.

The sum is what `gmdsl.core.rules` offer for discrete variables: enumeration of the joint states.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.ancestral import known
from gmdsl.core.errors import SpecError
from gmdsl.core.evaluate import log_density
from gmdsl.core.rules.enumeration import MOST_STATES
from gmdsl.core.space import describe
from gmdsl.core.states import joint_states


def log_sum(model: Any) -> Float[Array, ""]:
    r"""The logarithm of the sum of the density over all states of the free variables.

    Args:
        model: a model whose free variables are all discrete and finite; works under `jax.jit` and `jax.grad`.

    Raises:
        SpecError: a variable is continuous or has infinitely many values, an input is not bound, or there are
            too many states.

    >>> import gmdsl as gm, jax.numpy as jnp
    >>> pair = gm.energy(lambda s: -jnp.float32(s[0] * s[1]), s=gm.Spin(2))
    >>> round(float(log_sum(pair)), 4), round(float(jnp.log(2 * jnp.e + 2 / jnp.e)), 4)
    (1.8201, 1.8201)
    """
    states = _states("log_sum(...)", model)
    return jax.nn.logsumexp(jax.vmap(lambda state: log_density(model, {**known(model), **state}))(states))


def expectation_of(model: Any, function: Callable[[Mapping[str, Array]], Any]) -> Any:
    r"""The expectation of a function under a discrete model, $\sum_s p(s)\, g(s)$.

    Args:
        model: as in `log_sum`; it need not be normalised.
        function: from a dict of the free variables to an array (or number) of any shape.

    Raises:
        SpecError: as `log_sum`.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> coins = gm.joint(k=dist.Bernoulli(0.25).expand([2]))
    >>> expectation_of(coins, lambda v: v["k"]).tolist()
    [0.25, 0.25]
    """
    states = _states("expectation_of(...)", model)
    density = jax.vmap(lambda state: log_density(model, {**known(model), **state}))(states)
    values = jnp.asarray(jax.vmap(function)(states), float)
    return jnp.tensordot(jax.nn.softmax(density), values, axes=1)


def _states(operation: str, model: Any) -> dict[str, Array]:
    for name in model.free:
        if not model.spaces[name].discrete or model.spaces[name].cardinality is None:
            raise SpecError(
                f"{operation}: {name} lives in {describe(model.spaces[name])}, so its states cannot be listed."
                " Sums are over finite discrete variables."
            )
    states = joint_states({name: model.spaces[name] for name in model.free}, MOST_STATES)
    if states is None:
        raise SpecError(f"{operation}: more than {MOST_STATES} joint states.")
    return states
