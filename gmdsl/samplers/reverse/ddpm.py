r"""Ancestral sampling of a denoising diffusion model: $x_s \sim q(x_s \mid x_t, \hat x_0(x_t))$.

The bridge of the forward process, with the clean datum replaced by its expectation. The tutorial prints
this Gaussian with variance zero; for Brownian noise of rate $\sigma$ it is $\sigma^2 \Delta (t - \Delta) / t$.

Reference:
    Ho, Jain, Abbeel, *Denoising diffusion probabilistic models*, 2020, arXiv:2006.11239 (algorithm 2).
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Float

from gmdsl.core.random.normal import standard_normal
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.time_grid import as_grid, check_grid, reverse_times
from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats


class DDPM(Generator):
    """Independent draws by ancestral sampling; the last step returns the denoised point where no noise is left.

    Attributes:
        steps: steps from `t_max` to 0, one evaluation of the denoiser each.
        power: times are `t_max (k / steps) ** power`, 1 when None; above 1 puts more steps near the data. With
            `grid="karras"` its exponent, 7 when None.
        grid: `"time"`, `"karras"`, `"log-snr"`, or the times themselves, from `t_max` to 0.
    """

    steps: int = 500
    power: float | None = None
    grid: Any = eqx.field(default="time", converter=as_grid)

    takes: ClassVar[type] = FlatFamily
    bias: ClassVar[str | None] = "the steps have a finite size, and the way back starts from a Gaussian"

    def __check_init__(self) -> None:
        check_grid("DDPM", self.steps, self.power, self.grid)

    def draw(self, key: Array, target: FlatFamily) -> tuple[Float[Array, " dim"], Stats]:
        key_start, key_noise = jax.random.split(key)
        times = reverse_times(target, self.steps, self.grid, self.power)

        def step(k: Array, x: Array) -> Array:
            bridge = target.process.bridge(times[k + 1], times[k])
            noise = standard_normal(jax.random.fold_in(key_noise, k), x.shape, x.dtype)
            return bridge.noisy * x + bridge.clean * target.denoise(x, times[k]) + bridge.std * noise

        return jax.lax.fori_loop(0, self.steps, step, target.start(key_start)), {}
