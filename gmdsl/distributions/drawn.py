"""Draws of NumPyro's distributions, whole numbers as integers."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array


def as_drawn(distribution: Any, key: Array, shape: tuple[int, ...] = ()) -> Array:
    """Draws of a distribution; those of a discrete one are integers, which NumPyro's `Geometric` does not give."""
    return whole(distribution, _bounded(distribution).sample(key, shape))


def whole(distribution: Any, value: Any) -> Array:
    """A value of a distribution, as integers where the distribution is discrete."""
    discrete = distribution.support.is_discrete and jnp.issubdtype(jnp.result_type(value), jnp.floating)
    return jnp.asarray(value, int) if discrete else jnp.asarray(value)


def _bounded(distribution: Any) -> Any:
    """The distribution with probabilities of binomial ones cut off at 0 and 1; NumPyro's draws do not end beyond."""
    from numpyro.distributions import BinomialProbs

    def cut(part: Any) -> Any:
        if not isinstance(part, BinomialProbs):
            return part
        return BinomialProbs(jnp.clip(part.probs, 0.0, 1.0), part.total_count, validate_args=False)

    return jax.tree.map(cut, distribution, is_leaf=lambda part: isinstance(part, BinomialProbs))
