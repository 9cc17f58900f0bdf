r"""Denoising score matching: learn the score of noised data by predicting the clean datum.

The minimiser of $E\,\|D(x_t, t) - x_0\|^2$ is $E[x_0 \mid x_t]$, and by Tweedie's identity (Vincent's in the
tutorial) that is the score. All levels of noise are learned at once, each with the weight at which the
network's own output has an error of unit weight.

Reference:
    Vincent, *A connection between score matching and denoising autoencoders*, 2011; Song et al., 2021,
    arXiv:2011.13456; Karras et al., 2022, arXiv:2206.00364 (weights).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.diffusion.noised import Noised
from gmdsl.learning.inputs import input_names
from gmdsl.learning.objective import Batch, Data, Metrics, Objective, rows
from gmdsl.spaces.layout import flatten


class DenoisingScoreMatching(Objective):
    """Mean squared error of the network's prediction per coordinate, over data, noise and levels.

    Inputs of the family take their values from the data, each datum its own.

    Levels are spread evenly in log noise over its range, one per datum, by one random shift of a grid.
    """

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        if not isinstance(model, Noised) or model.denoiser.kind != "learned":
            what = "a model" if not isinstance(model, Noised) else "a family whose score is exact"
            raise SpecError(
                f"fit(..., DenoisingScoreMatching()): {what} has no score to learn. Declare one by"
                " gm.score_model(process, net, x=gm.Real(...))."
            )
        missing = [name for name in model.free if name not in data]
        if missing:
            raise SpecError(f"fit(..., DenoisingScoreMatching()): {missing[0]} has no data. Give data for it.")

    def loss(self, key: Array, model: Noised, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        key_level, key_noise = jax.random.split(key)
        clean = flatten(model.declared, batch)
        grid = jnp.arange(rows(batch)) / rows(batch)
        times = model.process.time_at(jnp.mod(grid + jax.random.uniform(key_level), 1.0))
        noise = jax.random.normal(key_noise, clean.shape, clean.dtype)

        learned: Any = model.denoiser

        def error(x_0: Array, noise: Array, t: Array, given: Any) -> Array:
            denoised = learned.at(given).denoise(model.process, model.process.noisy(x_0, noise, t), t)
            return learned.prediction.weight(model.process, t) * jnp.mean((denoised - x_0) ** 2)

        given = {name: batch[name] for name in input_names(model)}
        return jnp.mean(jax.vmap(error)(clean, noise, times, given)), (state, {})
