r"""The Metropolis rule, acceptance with probability $\min(1, r)$.

Reference:
    Metropolis et al., *Equation of state calculations by fast computing machines*, 1953;
    Hastings, *Monte Carlo sampling methods using Markov chains and their applications*, 1970.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.random.threefry import uniforms
from gmdsl.inference.stats import Stats


def metropolis(key: Array, state: Any, proposal: Any, log_ratio: Float[Array, ""]) -> tuple[Any, Stats]:
    """Accepts a proposal with probability min(1, exp(log_ratio)); a NaN ratio is a rejection.

    Args:
        key: a random key.
        state: the current state, any pytree.
        proposal: the proposed state, of the same structure.
        log_ratio: log of the Metropolis-Hastings ratio.

    Returns:
        The new state, and the stats `acceptance_rate`, `accepted` and `nan_evaluations`.

    >>> import jax, jax.numpy as jnp
    >>> state, stats = metropolis(jax.random.key(0), jnp.zeros(2), jnp.ones(2), jnp.array(0.5))
    >>> state.tolist(), float(stats["acceptance_rate"])
    ([1.0, 1.0], 1.0)
    """
    broken = jnp.isnan(log_ratio)
    probability = jnp.where(broken, 0.0, jnp.exp(jnp.minimum(log_ratio, 0.0)))
    (uniform,) = uniforms(key, 1, probability.dtype)
    accepted = uniform < probability
    new = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), proposal, state)
    return new, {"acceptance_rate": probability, "accepted": accepted, "nan_evaluations": broken}
