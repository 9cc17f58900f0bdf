r"""The stochastic sampler of EDM: a little noise is added, and the probability flow taken back from the raised level.

In units of the data, $y = x / \alpha$ with noise $\rho = \sigma / \alpha$: the level is raised to $\hat\rho = (1 +
\gamma)\, \rho$ by noise of variance $\hat\rho^2 - \rho^2$, and a step of Heun's method for $dy / d\rho = (y - D) /
\rho$ leads to the next level. With $\gamma = 0$ it is Heun's method. The noise that is drawn anew forgets errors of
the steps before; $\gamma = \min(\text{churn} / N, \sqrt 2 - 1)$ between two levels of noise.

Reference:
    Karras et al., *Elucidating the design space of diffusion-based generative models*, 2022, arXiv:2206.00364
    (algorithm 2, with $S_{noise} = 1$).
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError, check_not_negative
from gmdsl.core.random.normal import standard_normal
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.time_grid import KarrasGrid, as_grid, check_grid, noise_ratio, time_of_ratio
from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats


def _levels(between: Any) -> Any:
    """Two numbers as a tuple; anything else as it is."""
    found = isinstance(between, list | tuple | np.ndarray) and np.asarray(between).dtype.kind in "iuf"
    return tuple(float(level) for level in np.ravel(np.asarray(between))) if found else between


class EDMChurn(Generator):
    """Independent draws by EDM's stochastic sampler; two evaluations of the denoiser per step, one in the last.

    Attributes:
        steps: steps from `t_max` to 0.
        churn: how much noise is added, over all steps; 0 for none.
        between: the least and the largest noise, in units of the data, at which noise is added.
        grid: where the steps lie: `gm.PowerGrid(p)`, `gm.KarrasGrid()`, `gm.LogSNRGrid()`, or times from `t_max` to 0.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.EDM(20.0))
    >>> x = gm.sample(family, gm.EDMChurn(), draws=2000, progress=False)["posterior"]["x"].values
    >>> round(float(x.mean()), 1), round(float(x.std()), 1)
    (1.0, 0.5)
    """

    steps: int = 50
    churn: float = 10.0
    between: tuple[float, float] = eqx.field(default=(0.0, float("inf")), converter=_levels)
    grid: Any = eqx.field(default=KarrasGrid(), converter=as_grid)

    takes: ClassVar[type] = FlatFamily
    bias: ClassVar[str | None] = "the steps have a finite size, and the way back starts from a Gaussian"

    def __check_init__(self) -> None:
        check_grid("EDMChurn", self.steps, self.grid)
        check_not_negative(self, "churn")
        two = isinstance(self.between, tuple) and len(self.between) == 2
        if not two or not 0.0 <= self.between[0] < self.between[1]:
            raise SpecError(f"EDMChurn(between={self.between!r}): two levels of noise, the least first, are needed.")

    def draw(self, key: Array, target: FlatFamily) -> tuple[Float[Array, " dim"], Stats]:
        target.check_score("EDMChurn")
        key_start, key_noise = jax.random.split(key)
        process = target.process
        times = jnp.minimum(self.grid.nodes(target, self.steps), process.t_signal)  # points are divided by the signal
        ratios = jax.vmap(lambda t: noise_ratio(process, t))(times)
        gamma = jnp.minimum(self.churn / self.steps, 2.0**0.5 - 1.0)
        inside = (ratios[:-1] >= self.between[0]) & (ratios[:-1] <= self.between[1])
        inside &= jnp.arange(self.steps) > 0  # above the first there is no level
        raised = ratios[:-1] * jnp.where(inside, 1.0 + gamma, 1.0)
        raised_times = jnp.where(inside, jax.vmap(lambda r: time_of_ratio(process, r))(raised), times[:-1])
        raised = jnp.where(raised_times < times[0], raised, ratios[:-1])  # nor above it a time
        raised_times = jnp.where(raised_times < times[0], raised_times, times[:-1])

        def slope(y: Array, t: Array, ratio: Array) -> Array:
            return (y - target.denoise(process.alpha(t) * y, t)) / ratio

        def step(k: Array, y: Array) -> Array:
            noise = standard_normal(jax.random.fold_in(key_noise, k), y.shape, y.dtype)
            y = y + jnp.sqrt(jnp.maximum(raised[k] ** 2 - ratios[k] ** 2, 0.0)) * noise
            here, length = slope(y, raised_times[k], raised[k]), ratios[k + 1] - raised[k]
            end = jnp.maximum(times[k + 1], target.first)
            clear = (times[k + 1] >= target.first) & (ratios[k + 1] > 0)
            ahead = slope(y + length * here, jnp.where(clear, end, times[k]), jnp.where(clear, ratios[k + 1], 1.0))
            return (y + length * jnp.where(clear, 0.5 * (here + ahead), here)).astype(y.dtype)

        y = jax.lax.fori_loop(0, self.steps, step, target.start(key_start) / process.alpha(times[0]))
        return process.alpha(times[-1]) * y, {}
