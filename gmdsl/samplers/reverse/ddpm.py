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
from gmdsl.diffusion.time_grid import PowerGrid, as_grid, check_grid, grid_of
from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats


class DDPM(Generator):
    """Independent draws by ancestral sampling; the last step returns the denoised point where no noise is left.

    Attributes:
        steps: steps from `t_max` to 0, one evaluation of the denoiser each.
        power: the same as `grid=gm.PowerGrid(power)`: times are `t_max (k / steps) ** power`.
        grid: where the steps lie: `gm.PowerGrid(p)`, `gm.KarrasGrid()`, `gm.LogSNRGrid()`, or times from `t_max` to 0;
            even steps when None.
    """

    steps: int = 500
    power: float | None = None
    grid: Any = eqx.field(default=None, converter=as_grid)

    takes: ClassVar[type] = FlatFamily
    bias: ClassVar[str | None] = "the steps have a finite size, and the way back starts from a Gaussian"

    def __check_init__(self) -> None:
        check_grid("DDPM", self.steps, self.grid, self.power)

    def draw(self, key: Array, target: FlatFamily) -> tuple[Float[Array, " dim"], Stats]:
        target.check_score("DDPM")
        key_start, key_noise = jax.random.split(key)
        times = grid_of(self.grid, self.power, PowerGrid()).nodes(target, self.steps)

        def step(k: Array, x: Array) -> Array:
            bridge = target.process.bridge(times[k + 1], times[k])
            noise = standard_normal(jax.random.fold_in(key_noise, k), x.shape, x.dtype)
            return bridge.noisy * x + bridge.clean * target.denoise(x, times[k]) + bridge.std * noise

        return jax.lax.fori_loop(0, self.steps, step, target.start(key_start)), {}
