r"""SDE-DPM-Solver++(2M): the reverse stochastic equation with its linear part solved exactly, of order two in drift.

With $\lambda = \log(\alpha / \sigma)$ and $h = \lambda_s - \lambda_t$ a step is

$$x_s = \frac{\sigma_s}{\sigma_t} e^{-h}\, x_t
+ \alpha_s \int_{\lambda_t}^{\lambda_s} 2 e^{-2 (\lambda_s - \lambda)} D(\lambda)\, d\lambda
+ \sigma_s \sqrt{1 - e^{-2h}}\; z,$$

where the denoiser D is extrapolated from the last two steps. With D taken constant it is the bridge of `DDPM`; noise
that is drawn anew at each step corrects the errors of the steps before, and of the score. The expected denoiser does
not change along the way back, so means of Gaussian data are exact in any number of steps.

Reference:
    Lu et al., *DPM-Solver++*, 2022, arXiv:2211.01095 (equation 18 and appendix).
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.random.normal import standard_normal
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.multistep import Past, exponential_weights
from gmdsl.diffusion.time_grid import LogSNRGrid, as_grid, check_grid, noise_ratio
from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats


class SDEDPMSolver(Generator):
    """Independent draws by SDE-DPM-Solver++(2M), one evaluation of the denoiser per step.

    Attributes:
        steps: steps from `t_max` to 0.
        grid: where the steps lie: `gm.PowerGrid(p)`, `gm.KarrasGrid()`, `gm.LogSNRGrid()`, or times from `t_max` to 0.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP())
    >>> x = gm.sample(family, gm.SDEDPMSolver(), draws=2000, progress=False)["posterior"]["x"].values
    >>> round(float(x.mean()), 1), round(float(x.std()), 1)
    (1.0, 0.5)
    """

    steps: int = 50
    grid: Any = eqx.field(default=LogSNRGrid(), converter=as_grid)

    takes: ClassVar[type] = FlatFamily
    bias: ClassVar[str | None] = "the steps have a finite size, and the way back starts from a Gaussian"

    def __check_init__(self) -> None:
        check_grid("SDEDPMSolver", self.steps, self.grid)

    def draw(self, key: Array, target: FlatFamily) -> tuple[Float[Array, " dim"], Stats]:
        target.check_score("SDEDPMSolver")
        key_start, key_noise = jax.random.split(key)
        process, times = target.process, self.grid.nodes(target, self.steps)

        def step(k: Array, at: Any) -> Any:
            (x, seen), t, s = at, times[k], times[k + 1]
            now, then = (-2.0 * jnp.log(noise_ratio(process, time)) for time in (t, s))  # 2 lambda: weights e^(u - end)
            seen = seen.remember(target.denoise(x, t), now)
            bridge = process.bridge(s, t)
            clean = process.alpha(s) * (exponential_weights(seen, now, then) @ seen.values)
            noise = standard_normal(jax.random.fold_in(key_noise, k), x.shape, x.dtype)
            return (bridge.noisy * x + clean + bridge.std * noise).astype(x.dtype), seen

        start = target.start(key_start)
        return jax.lax.fori_loop(0, self.steps, step, (start, Past.empty(2, start)))[0], {}
