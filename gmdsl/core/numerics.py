"""Sums of exponentials whose derivatives are right where terms are zero, and numbers of any size in words."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def safe_logsumexp(array: Float[Array, "... n"]) -> Float[Array, "..."]:
    """The logarithm of the sum of exponentials along the last axis; where all is -inf, -inf with gradient zero.

    >>> jax.grad(lambda x: jnp.exp(safe_logsumexp(x + jnp.array([-jnp.inf, -jnp.inf]))))(0.0).item()
    0.0
    """
    dead = jnp.all(array == -jnp.inf, axis=-1)
    return jnp.where(dead, -jnp.inf, jax.nn.logsumexp(jnp.where(dead[..., None], 0.0, array), axis=-1))


def rounded(count: int) -> str:
    """A whole number of any size in two digits, for messages.

    >>> rounded(3**20), rounded(3**700), rounded(0)
    ('3.5e+09', '9.6e+333', '0.0e+00')
    """
    if abs(count) < 10**300:
        return f"{count:.1e}"
    power = math.floor(math.log10(abs(count)))
    return f"{count // 10 ** (power - 1) / 10:.1f}e+{power}"
