r"""Denoising diffusion implicit models: a step keeps the noise that is in the point, or draws a share of it anew.

$x_s = \alpha_s \hat x_0 + \sqrt{\sigma_s^2 - \eta^2 \tau^2}\; \hat\epsilon + \eta\, \tau\, z$ with $\hat x_0 = E[x_0
\mid x_t]$, $\hat\epsilon = (x_t - \alpha_t \hat x_0) / \sigma_t$, and $\tau$ the standard deviation of the bridge
$q(x_s \mid x_t, x_0)$. For $\eta = 1$ it is `DDPM`; for $\eta = 0$ a map without noise, the exponential Euler step of
the probability flow: exact where the denoiser does not change along the way.

Reference:
    Song, Meng, Ermon, *Denoising diffusion implicit models*, 2021, arXiv:2010.02502 (equations 12 and 16).
"""

from numbers import Real
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.random.normal import standard_normal
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.time_grid import KarrasGrid, as_grid, check_grid
from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats


class DDIM(Generator):
    r"""Independent draws by DDIM, one evaluation of the denoiser per step.

    Attributes:
        eta: the share of the noise that is drawn anew, from 0 (the flow) to 1 (`DDPM`).
        steps: steps from `t_max` to 0.
        grid: where the steps lie: `gm.PowerGrid(p)`, `gm.KarrasGrid()`, `gm.LogSNRGrid()`, or times from `t_max` to 0.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP())
    >>> x = gm.sample(family, gm.DDIM(eta=0.0, steps=50), draws=2000, progress=False)["posterior"]["x"].values
    >>> round(float(x.mean()), 1), round(float(x.std()), 1)
    (1.0, 0.5)
    """

    eta: float = 0.0
    steps: int = 50
    grid: Any = eqx.field(default=KarrasGrid(), converter=as_grid)

    takes: ClassVar[type] = FlatFamily
    bias: ClassVar[str | None] = "the steps have a finite size, and the way back starts from a Gaussian"

    def __check_init__(self) -> None:
        check_grid("DDIM", self.steps, self.grid)
        if not isinstance(self.eta, jax.Array) and not (isinstance(self.eta, Real) and 0.0 <= self.eta <= 1.0):
            raise SpecError(f"DDIM(eta={self.eta}): a share of the noise, from 0 to 1, is needed; 0 draws none.")

    def draw(self, key: Array, target: FlatFamily) -> tuple[Float[Array, " dim"], Stats]:
        if not isinstance(self.eta, Real) or self.eta > 0:
            target.check_score("DDIM(eta=...)")
        key_start, key_noise = jax.random.split(key)
        process, times = target.process, self.grid.nodes(target, self.steps)

        def step(k: Array, x: Array) -> Array:
            t, s = times[k], times[k + 1]
            clean = target.denoise(x, t)
            fresh = self.eta * process.bridge(s, t).std
            kept = jnp.sqrt(jnp.maximum(process.sigma(s) ** 2 - fresh**2, 0.0))
            noise = standard_normal(jax.random.fold_in(key_noise, k), x.shape, x.dtype)
            return process.alpha(s) * clean + kept * process.noise_of(x, clean, t) + fresh * noise

        return jax.lax.fori_loop(0, self.steps, step, target.start(key_start)), {}
