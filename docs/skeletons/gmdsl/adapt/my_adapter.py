r"""The step follows the acceptance rate, $\log\epsilon_{t+1} = \log\epsilon_t + t^{-0.6} (a_t - a^*)$.

Reference:
    Robbins and Monro, *A stochastic approximation method*, 1951.
"""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.pytrees.fields import replace, setting
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats


class MyAdapter(Adapter):
    """Tunes `step_size`.

    Attributes:
        target_accept: the mean acceptance rate that is wanted.
    """

    target_accept: float = 0.5

    tunes: ClassVar[tuple[str, ...]] = ("step_size",)  # fields of the sampler that it sets
    needs: ClassVar[tuple[str, ...]] = ("acceptance_rate",)  # stats that it reads

    def start(self, sampler: Sampler, dim: int) -> tuple[Float[Array, ""], Sampler]:
        return jnp.ones(()), sampler

    def update(
        self, state: Any, sampler: Sampler, position: Any, score: Any, stats: Stats
    ) -> tuple[Float[Array, ""], Sampler]:
        gap = stats["acceptance_rate"] - self.target_accept
        return state + 1.0, replace(sampler, step_size=setting(sampler, "step_size") * jnp.exp(state**-0.6 * gap))

    def finish(self, state: Any, sampler: Sampler) -> Sampler:
        return sampler
