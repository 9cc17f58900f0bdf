r"""Two reverse steps and one forward step: the reverse stochastic equation as the tutorial reads it.

A step from t to s, of length $\Delta = t - s$, goes along the probability flow twice as far,
$x \leftarrow x - 2 \Delta\, v(x, t)$, to the law at $s - \Delta$, and then forward again by the process of noising,
$x \leftarrow x + f x \Delta + g \sqrt \Delta\, z$. Both together are one Euler step of the reverse equation,

$$x - 2 \Delta \left(f x - \tfrac12 g^2 \nabla \log p_t\right) + f x \Delta + g \sqrt\Delta\, z
= x - \Delta \left(f x - g^2 \nabla \log p_t\right) + g \sqrt\Delta\, z,$$

up to terms of higher order. Here the forward step is the exact transition from $s - \Delta$ to s; where $s - \Delta$
would be below 0 the step down goes to 0 and the one forward from there.

Reference:
    The tutorial's section on the reverse equations; Anderson, *Reverse-time diffusion equation models*, 1982.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.random.normal import standard_normal
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.time_grid import PowerGrid, as_grid, check_grid
from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats


class TwoBackOneForward(Generator):
    """Independent draws by two reverse steps and one forward step, one evaluation of the score each.

    Attributes:
        steps: steps from `t_max` to 0.
        grid: where the steps lie: `gm.PowerGrid(p)`, `gm.KarrasGrid()`, `gm.LogSNRGrid()`, or times from `t_max` to 0.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP())
    >>> x = gm.sample(family, gm.TwoBackOneForward(), draws=2000, progress=False)["posterior"]["x"].values
    >>> round(float(x.mean()), 1), round(float(x.std()), 1)
    (1.0, 0.5)
    """

    steps: int = 500
    grid: Any = eqx.field(default=PowerGrid(), converter=as_grid)

    takes: ClassVar[type] = FlatFamily
    bias: ClassVar[str | None] = "the steps have a finite size, and the way back starts from a Gaussian"

    def __check_init__(self) -> None:
        check_grid("TwoBackOneForward", self.steps, self.grid)

    def draw(self, key: Array, target: FlatFamily) -> tuple[Float[Array, " dim"], Stats]:
        target.check_score("TwoBackOneForward")
        key_start, key_noise = jax.random.split(key)
        process, times = target.process, self.grid.nodes(target, self.steps)

        def step(k: Array, x: Array) -> Array:
            t, s = times[k], times[k + 1]
            back = jnp.maximum(s - (t - s), 0.0)
            x = x - (t - back) * target.velocity(x, t)
            forward = process.transition(back, s)
            noise = standard_normal(jax.random.fold_in(key_noise, k), x.shape, x.dtype)
            return (forward.scale * x + forward.std * noise).astype(x.dtype)

        return jax.lax.fori_loop(0, self.steps, step, target.start(key_start)), {}
