r"""The reverse stochastic differential equation, by Euler's method.

Noise is undone by $dx = (f x - g^2 \nabla \log p_t)\, dt + g\, d\bar B$ run from `t_max` to 0: one step is
$x \leftarrow x - f x \Delta + g^2 \Delta\, s(x, t) + g \sqrt\Delta\, \epsilon$. Read as the tutorial does, it is two
half steps along the score, one to undo the diffusion and one more to balance the noise that is added.

Reference:
    Anderson, *Reverse-time diffusion equation models*, 1982; Song et al., 2021, arXiv:2011.13456.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.random.normal import standard_normal
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.time_grid import PowerGrid, as_grid, check_grid, grid_of
from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats


class ReverseSDE(Generator):
    """Independent draws by the reverse stochastic differential equation; noise is added in the last step too.

    Attributes:
        steps: steps from `t_max` to 0, one evaluation of the score each.
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
        check_grid("ReverseSDE", self.steps, self.grid, self.power)

    def draw(self, key: Array, target: FlatFamily) -> tuple[Float[Array, " dim"], Stats]:
        target.check_score("ReverseSDE")
        key_start, key_noise = jax.random.split(key)
        times = grid_of(self.grid, self.power, PowerGrid()).nodes(target, self.steps)

        def step(k: Array, x: Array) -> Array:
            t, delta = times[k], times[k] - times[k + 1]
            drift, rate = target.process.drift(t), target.process.diffusion(t)
            noise = standard_normal(jax.random.fold_in(key_noise, k), x.shape, x.dtype)
            return x - drift * x * delta + rate**2 * delta * target.score(x, t) + rate * jnp.sqrt(delta) * noise

        return jax.lax.fori_loop(0, self.steps, step, target.start(key_start)), {}
