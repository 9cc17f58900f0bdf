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
from gmdsl.diffusion.learned_family import check_learned_family, clean_and_given, even_shares, with_pairs
from gmdsl.diffusion.noised import Noised
from gmdsl.diffusion.weighting import Weighting
from gmdsl.learning.objective import Batch, Data, Metrics, Objective, rows


class DenoisingScoreMatching(Objective):
    """Mean squared error of the network's prediction per coordinate, over data, noise and levels.

    Inputs of the family take their values from the data, each datum its own.

    Attributes:
        weighting: which levels are drawn and what they count, such as `gm.MinSNRWeighting()`. When None, levels are
            spread evenly in log noise, and the error of what the network predicts counts alike at all of them.
            One level per datum either way, by one random shift of a grid.
    """

    weighting: Weighting | None = None

    def __check_init__(self) -> None:
        if self.weighting is not None and not isinstance(self.weighting, Weighting):
            given = self.weighting.__name__ if isinstance(self.weighting, type) else type(self.weighting).__name__
            raise SpecError(f"DenoisingScoreMatching(weighting={given}): a weighting is needed, gm.MinSNRWeighting().")

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        check_learned_family("DenoisingScoreMatching", model, data)

    def prepare(self, model: Any) -> Any:
        return with_pairs(model, False)

    def loss(self, key: Array, model: Noised, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        key_level, key_noise = jax.random.split(key)
        clean, given = clean_and_given(model, batch)
        learned: Any = model.denoiser
        process, weighting = model.process, self.weighting
        shares = even_shares(key_level, rows(batch))
        times = process.time_at(shares) if weighting is None else weighting.time(process, shares)
        noise = jax.random.normal(key_noise, clean.shape, clean.dtype)

        def error(x_0: Array, noise: Array, t: Array, given: Any) -> Array:
            denoised = learned.at(given).denoise(process, process.noisy(x_0, noise, t), t)
            weight = learned.prediction.weight(process, t) if weighting is None else weighting.weight(process, t)
            return weight * jnp.mean((denoised - x_0) ** 2)

        return jnp.mean(jax.vmap(error)(clean, noise, times, given)), (state, {})
