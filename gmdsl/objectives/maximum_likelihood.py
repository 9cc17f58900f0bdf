r"""Maximum likelihood: minimise $-\frac1n \sum_i \log p_\theta(x_i)$.

It is exact for normalised models. The log-likelihood is an expectation over the data, so minimising
it projects the data onto the model in $D_{KL}(p_{data} \| p_\theta)$: no mode of the data may be missed.

Reference:
    Fisher, *On the mathematical foundations of theoretical statistics*, 1922.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.program import split
from gmdsl.core.errors import SpecError
from gmdsl.core.objective import Batch, Metrics, Objective


class MaximumLikelihood(Objective):
    """The mean negative log-density of the data, in nats per datum; for normalised models."""

    def check(self, model: Any, data: Batch) -> None:
        offer = model.capabilities()
        if not offer.normalized:
            raise SpecError(
                f"fit(..., MaximumLikelihood()): {offer.reasons['normalized']}. Learn it by gm.ContrastiveDivergence."
            )
        hidden = [name for name in model.free if name not in data]
        if hidden:
            raise SpecError(
                f"fit(..., MaximumLikelihood()): {hidden[0]} has no data, and its marginal is not computed."
                " Give data for every free variable."
            )

    def loss(self, key: Array, model: Any, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        del key
        program, leaves = split(model)
        hoisted = program.hoist(leaves)
        densities = jax.vmap(lambda datum: program.log_density(leaves, hoisted, datum))(batch)
        return -jnp.mean(densities), (state, {})
