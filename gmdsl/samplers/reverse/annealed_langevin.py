r"""Annealed Langevin dynamics: unadjusted Langevin steps down a ladder of noise levels.

At each level $\tilde\sigma_i = \sigma(t_i) / \alpha(t_i)$, from the largest to the smallest, in clean units
$y = x / \alpha(t)$ and with the score $s_i$ of the data under that noise,

$$y \leftarrow y + \tfrac{a_i}{2}\, s_i(y) + \sqrt{a_i}\, z, \qquad
a_i = \epsilon\, \tilde\sigma_i^2 / \tilde\sigma_L^2.$$

Much noise joins the modes, and what is found there is carried down as the noise shrinks. Levels are geometric: all
neighbours overlap alike. Steps are as long as the noise, so the share of the noise that a step replaces is the same at
every level. Nothing is accepted or rejected: in a normal law of variance $v$ the stationary variance is
$v / (1 - a_i / 4 v)$, and the shares of the modes are those of the level at which they part.

References:
    Song and Ermon, *Generative modeling by estimating gradients of the data distribution*, 2019, arXiv:1907.05600
    (algorithm 1); *Improved techniques for training score-based generative models*, 2020, arXiv:2006.09011.
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError, check_positive
from gmdsl.core.random.normal import standard_normal
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.time_grid import check_grid
from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats


class AnnealedLangevin(Generator):
    r"""Independent draws by annealed Langevin dynamics; each costs `temperatures * steps` evaluations of the score.

    The law is that of the data under the last, smallest noise of the process (`t_min`), with the bias of the steps.

    Attributes:
        step_size: the length of a step in units of the squared noise, $\epsilon / \tilde\sigma_L^2$, below 4.
        temperatures: how many levels of noise, from `t_max` to `t_min`.
        steps: Langevin steps at each.
        denoised: whether the expected clean datum is returned in place of the last point, which takes the last noise
            away.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VE(0.05, 20.0))
    >>> x = gm.sample(family, gm.AnnealedLangevin(), draws=2000, progress=False)["posterior"]["x"].values
    >>> round(float(x.mean()), 1), round(float(x.std()), 1)
    (1.0, 0.5)
    """

    step_size: float = 0.1
    temperatures: int = 20
    steps: int = 100
    denoised: bool = eqx.field(static=True, default=False)

    takes: ClassVar[type] = FlatFamily
    bias: ClassVar[str | None] = "Langevin steps have a finite size and number, and the last noise stays"

    def __check_init__(self) -> None:
        check_grid("AnnealedLangevin", self.steps)
        check_positive(self, "step_size")
        if isinstance(self.step_size, int | float) and self.step_size >= 4.0:
            raise SpecError(f"AnnealedLangevin(step_size={self.step_size}): from 4 on steps blow up. Try 0.1.")
        if not isinstance(self.temperatures, int) or isinstance(self.temperatures, bool) or self.temperatures < 2:
            raise SpecError(
                f"AnnealedLangevin(temperatures={self.temperatures!r}): a whole number of at least 2 is needed."
            )

    def draw(self, key: Array, target: FlatFamily) -> tuple[Float[Array, " dim"], Stats]:
        target.check_score("AnnealedLangevin")
        key_start, key_noise = jax.random.split(key)
        process = target.process
        times = jax.vmap(process.time_at)(jnp.linspace(1.0, 0.0, self.temperatures))

        def step(number: Array, y: Array) -> Array:
            t = times[number // self.steps]
            alpha = process.alpha(t)
            length = self.step_size * (process.sigma(t) / alpha) ** 2
            noise = standard_normal(jax.random.fold_in(key_noise, number), y.shape, y.dtype)
            moved = y + 0.5 * length * alpha * target.score(alpha * y, t) + jnp.sqrt(length) * noise
            return moved.astype(y.dtype)

        start = target.start(key_start) / process.alpha(times[0])
        y = jax.lax.fori_loop(0, self.temperatures * self.steps, step, start)
        last = times[-1]
        return target.denoise(process.alpha(last) * y, last).astype(y.dtype) if self.denoised else y, {}
