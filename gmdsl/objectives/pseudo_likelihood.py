r"""Pseudo-likelihood: fit a density of discrete variables by each element given all others.

$$\ell(\theta) = \sum_i \log p_\theta(x_i \mid x_{-i}), \qquad
  p_\theta(x_i = k \mid x_{-i}) = \frac{e^{f_\theta(x_i = k,\, x_{-i})}}{\sum_l e^{f_\theta(x_i = l,\, x_{-i})}}$$

needs no $\log Z$ and no sampler: one evaluation of the density per value of each element. Where the model is right its
maximum tends to the true parameters as data grow, with a larger variance than maximum likelihood has.

References:
    Besag, *Statistical analysis of non-lattice data*, The Statistician 24, 1975;
    Hyvarinen, *Consistency of pseudolikelihood estimation of fully visible Boltzmann machines*, Neural Computation 18,
    2006.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.core.errors import SpecError
from gmdsl.learning.inputs import conditional, variables_of
from gmdsl.learning.objective import Batch, Data, Metrics, Objective, check_model, check_observed
from gmdsl.models.model import Model
from gmdsl.spaces.space import Real, dtype_of

MOST = 256  # values of an element
AT_ONCE = 256  # elements side by side


class PseudoLikelihood(Objective):
    """Minus the mean over data of the sum of log-conditionals, for discrete variables with data for all of them.

    >>> import numpy as np, optax, gmdsl as gm
    >>> pair = gm.energy(lambda s, j: -j * s[0] * s[1], s=gm.Spin(2), j=gm.param(0.0))
    >>> data = {"s": np.array([[1, 1], [1, 1], [1, -1], [-1, -1]])}  # of p(alike) = 3/4
    >>> fit = gm.fit(pair, data, gm.PseudoLikelihood(), optimizer=optax.adam(0.02), progress=False)
    >>> round(float(fit.model.params["j"].value), 3), round(float(np.log(3) / 2), 3)
    (0.549, 0.549)
    """

    @property
    def bias(self) -> str:
        return "conditionals were fitted: the estimate is consistent, and not that of maximum likelihood"

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        check_model(self, model)
        check_observed(self, model, data)
        for name in model.free:
            space = model.spaces[name]
            if not space.discrete:
                raise SpecError(
                    f"fit(..., PseudoLikelihood()): {name} lives in {space.title}, which is not discrete. Use"
                    " gm.ScoreMatching() for continuous variables."
                )
            if space.cardinality is None or space.cardinality > MOST:
                many = "without an end" if space.cardinality is None else f"of {space.cardinality}"
                raise SpecError(
                    f"fit(..., PseudoLikelihood()): {name} has values {many}, and all of them are tried, at most"
                    f" {MOST}. Declare gm.Categorical(n) for the values 0 to n - 1."
                )

    def loss(self, key: Array, model: Model, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        del key
        density = conditional(model)

        def one(row: Any) -> Array:
            target = density(row)
            x = target.unconstrain(variables_of(model, row))
            return _log_conditionals(target, x.astype(dtype_of(Real())))  # whole numbers alone have a type of their own

        logs = jax.vmap(one)(dict(batch))
        return -jnp.mean(jnp.sum(logs, axis=-1)), (state, {"least_likely": jnp.exp(jnp.min(logs))})


def _log_conditionals(target: FlatTarget, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """The logarithm of the probability of each element given all others."""
    table = np.array([one for one in target.states if one is not None], float)
    counts, firsts, gaps = (jnp.asarray(column, x.dtype) for column in table.T)
    most, here = int(table[:, 0].max()), target.log_density(x)

    def element(i: Array) -> Array:
        own = jnp.round((x[i] - firsts[i]) / gaps[i])
        turns = jnp.arange(1, most, dtype=x.dtype)
        others = firsts[i] + gaps[i] * ((own + turns) % counts[i])
        gains = jax.vmap(lambda value: target.log_density(x.at[i].set(value)))(others) - here
        gains = jnp.where(turns < counts[i], gains, -jnp.inf)
        return -jax.nn.logsumexp(jnp.concatenate([jnp.zeros(1, x.dtype), gains]))

    every = jnp.arange(len(table))
    return jax.vmap(element)(every) if len(table) <= AT_ONCE else jax.lax.map(element, every, batch_size=AT_ONCE)
