r"""The variational bound as an objective: $L_T + \sum_t L_t + L_0$ in nats per datum, of the way back in steps.

All terms but $L_T$ are squared errors of the denoiser at one level, with the weights of
`gmdsl.diffusion.variational_bound`. A batch estimates their sum: each datum draws one level, nine in ten among the
steps and one in ten the first level, $L_0$. It is score matching with the weights of the likelihood, in steps.

Reference:
    Ho, Jain, Abbeel, 2020, arXiv:2006.11239 (equation 5); Kingma et al., *Variational diffusion models*, 2021,
    arXiv:2107.00630.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.diffusion.learned_family import check_learned_family, clean_and_given, even_shares, with_pairs
from gmdsl.diffusion.noised import Noised
from gmdsl.diffusion.variational_bound import (
    check_levels,
    data_constant,
    level_times,
    level_weights,
    noise_left,
    prior_term,
)
from gmdsl.learning.objective import Batch, Data, Metrics, Objective, rows

FIRST = 0.1  # share of the data whose level is the first


class VariationalBound(Objective):
    """Minus a lower bound of the log-likelihood, in nats per datum; learned by a noised family.

    `fit.history` has its parts `prior`, `steps` and `data` and the sum as `bits_per_dim`; `gm.variational_bound` gives
    every term of a fitted family, datum by datum. Inputs take their values from the data, each datum its own.

    Attributes:
        steps: levels of noise, as many as the way back would take.
    """

    steps: int = 1000

    def __check_init__(self) -> None:
        check_levels("VariationalBound", self.steps)

    @property
    def bias(self) -> str:
        return "a lower bound was maximised, that of a way back in so many steps"

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        check_learned_family("VariationalBound", model, data)

    def prepare(self, model: Any) -> Any:
        return with_pairs(model, False)

    def loss(self, key: Array, model: Noised, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        key_level, key_noise = jax.random.split(key)
        clean, given = clean_and_given(model, batch)
        learned: Any = model.denoiser
        process, dim = model.process, clean.shape[1]
        times = level_times(process, self.steps)
        weights = level_weights(process, times)
        share = even_shares(key_level, rows(batch))
        first = share < FIRST
        drawn = 1 + jnp.floor((share - FIRST) / (1.0 - FIRST) * (self.steps - 1)).astype(int)
        level = jnp.where(first, 0, jnp.clip(drawn, 1, self.steps - 1))
        scale = jnp.where(first, 1.0 / FIRST, (self.steps - 1) / (1.0 - FIRST))
        noise = jax.random.normal(key_noise, clean.shape, clean.dtype)
        spread = jnp.where(len(clean) > 1, jnp.mean(jnp.var(clean, axis=0)), 1.0)

        def error(x_0: Array, noise: Array, t: Array, given: Any) -> Array:
            denoised = learned.at(given).denoise(process, process.noisy(x_0, noise, t), t)
            return 0.5 * jnp.sum((denoised - x_0) ** 2) - noise_left(process, noise, t, spread)

        terms = scale * weights[level] * jax.vmap(error)(clean, noise, times[level], given)
        prior = jnp.mean(jax.vmap(lambda x: prior_term(process, x))(clean))
        steps = jnp.mean(jnp.where(first, 0.0, terms))
        data = jnp.mean(jnp.where(first, terms, 0.0)) + data_constant(process, times[0], dim)
        total = prior + steps + data
        parts = {"prior": prior, "steps": steps, "data": data, "bits_per_dim": total / (dim * math.log(2.0))}
        return total, (state, parts)
