r"""Predictor and corrector: after each step down, Langevin steps at the new level take the point back to its law.

The predictor is the bridge of `DDPM`. At the level s that it reaches, the corrector makes unadjusted Langevin steps
$x \leftarrow x + \tfrac{a}{2}\, s(x, s) + \sqrt a\, z$ of length $a = \epsilon\, \sigma_s^2$, which leave $p_s$ as it
is up to their size. Errors of the steps before are forgotten, at the cost of evaluations.

Reference:
    Song et al., *Score-based generative modeling through SDEs*, 2021, arXiv:2011.13456 (section 4.2; there the step is
    chosen by a ratio of norms, here by the noise).
"""

from numbers import Real
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError, check_positive
from gmdsl.core.random.normal import standard_normal
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.time_grid import KarrasGrid, as_grid, check_grid
from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats


class PredictorCorrector(Generator):
    r"""Independent draws by ancestral steps, each corrected by Langevin steps.

    A step costs one evaluation of the score, and one more for each correction. The last, to no noise, is not corrected.

    Attributes:
        steps: steps from `t_max` to 0.
        corrections: Langevin steps after each of them.
        step_size: the length of a Langevin step in units of the squared noise, $\epsilon$, below 4.
        grid: where the steps lie: `gm.PowerGrid(p)`, `gm.KarrasGrid()`, `gm.LogSNRGrid()`, or times from `t_max` to 0.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP())
    >>> x = gm.sample(family, gm.PredictorCorrector(), draws=2000, progress=False)["posterior"]["x"].values
    >>> round(float(x.mean()), 1), round(float(x.std()), 1)
    (1.0, 0.5)
    """

    steps: int = 200
    corrections: int = 1
    step_size: float = 0.1
    grid: Any = eqx.field(default=KarrasGrid(), converter=as_grid)

    takes: ClassVar[type] = FlatFamily
    bias: ClassVar[str | None] = "steps and corrections have a finite size, and the way back starts from a Gaussian"

    def __check_init__(self) -> None:
        check_grid("PredictorCorrector", self.steps, self.grid)
        check_positive(self, "step_size")
        if isinstance(self.step_size, Real) and self.step_size >= 4.0:
            raise SpecError(f"PredictorCorrector(step_size={self.step_size}): from 4 on steps blow up. Try 0.1.")
        if not isinstance(self.corrections, int) or isinstance(self.corrections, bool) or self.corrections < 0:
            raise SpecError(f"PredictorCorrector(corrections={self.corrections!r}): a whole number is needed.")

    def draw(self, key: Array, target: FlatFamily) -> tuple[Float[Array, " dim"], Stats]:
        target.check_score("PredictorCorrector")
        key_start, key_noise = jax.random.split(key)
        process, times = target.process, self.grid.nodes(target, self.steps)

        def fresh(k: Array, number: Any, x: Array) -> Array:
            return standard_normal(jax.random.fold_in(jax.random.fold_in(key_noise, k), number), x.shape, x.dtype)

        def step(k: Array, x: Array) -> Array:
            bridge = process.bridge(times[k + 1], times[k])
            clean = target.denoise(x, times[k])
            x = bridge.noisy * x + bridge.clean * clean + bridge.std * fresh(k, 0, x)
            s = times[k + 1]
            usable = (s >= target.first) & (process.sigma(s) > 0)
            t = jnp.where(usable, s, times[k])  # where the score is finite, although it is not used
            length = self.step_size * process.sigma(t) ** 2

            def correct(number: Array, x: Array) -> Array:
                moved = x + 0.5 * length * target.score(x, t) + jnp.sqrt(length) * fresh(k, 1 + number, x)
                return jnp.where(usable, moved, x).astype(x.dtype)

            return jax.lax.fori_loop(0, self.corrections, correct, x.astype(x.dtype))

        return jax.lax.fori_loop(0, self.steps, step, target.start(key_start)), {}
