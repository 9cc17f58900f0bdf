r"""Gibbs sampling of discrete variables: each in turn is drawn from its law given all others.

$p(x_i = k \mid x_{-i}) \propto p(x_{-i}, x_i = k)$, by evaluating the density at every value of each element. For
finite discrete variables; in a model with continuous ones too, as one of several blocks (`gm.blocks`).

Reference:
    Geman and Geman, *Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images*, 1984.
"""

from typing import Any, Self

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class Gibbs(Sampler):
    """Draws every element of discrete variables from its full conditional, in a fixed order.

    A step evaluates the density once for each value of each element.
    """

    def bound(self, density: Any) -> Self:
        for name in density.free:
            space = density.spaces[name]
            if not space.discrete:
                raise SpecError(f"Gibbs(): {name} is continuous. Give it to a block of its own: gm.blocks({{...}}).")
            if space.cardinality is None:
                raise SpecError(f"Gibbs(): {name} has infinitely many values. Truncate it, or sum it out.")
        return self

    def step(self, key: Array, target: Target, state: Float[Array, " dim"]) -> tuple[Float[Array, " dim"], Stats]:
        states = target.states
        if any(one is None for one in states):
            raise SpecError("Gibbs(): a variable is continuous. Give it to a block of its own: gm.blocks({...}).")
        counts, first, gap = (jnp.asarray(column) for column in zip(*(one for one in states if one), strict=True))
        most = max(one[0] for one in states if one)

        def one(i: Array, at: Any) -> Any:
            x, changed, broken = at
            # Numbers past the last value of this element stand for it again, and have no weight.
            number = jnp.arange(most)
            values = first[i] + gap[i] * jnp.minimum(number, counts[i] - 1)
            heights = jax.vmap(lambda value: target.log_density(x.at[i].set(value.astype(x.dtype))))(values)
            nan = jnp.isnan(heights)
            heights = jnp.where(nan | (number >= counts[i]), -jnp.inf, heights)
            new = values[jax.random.categorical(jax.random.fold_in(key, i), heights)].astype(x.dtype)
            return x.at[i].set(new), changed + (new != x[i]), broken | nan.any()

        start = (state, jnp.zeros(()), jnp.zeros((), bool))
        x, changed, broken = jax.lax.fori_loop(0, target.dim, one, start)
        return x, {"changed": changed / target.dim, "nan_evaluations": broken}
