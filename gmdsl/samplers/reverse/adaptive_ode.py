r"""The probability flow with steps that follow its error, by diffrax.

Each draw has steps of its own, an embedded pair of Runge-Kutta formulae (Tsitouras, order five) telling their error.
The variable of integration is $\log\rho$, $\rho = \sigma / \alpha$, in which the flow of clean units $y = x / \alpha$
is $dy / d\log\rho = y - D$. It ends at the denoised point of `t_min`, or at a hundredth of that noise where the score
is finite without noise. Good for draws that are to be exact; with few evaluations the multistep solvers are better.

Reference:
    Tsitouras, *Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying assumption*, 2011;
    Song et al., 2021, arXiv:2011.13456 (appendix D.4).
"""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import check_positive
from gmdsl.core.pytrees.fields import setting
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.time_grid import noise_ratio, time_of_ratio
from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats

MOST = 4096  # steps
SMALL = 0.01  # of the noise at t_min: the end where the score is finite without noise


class AdaptiveODE(Generator):
    """Independent draws by the probability flow; `sample_stats` has the steps of each, accepted and not.

    Attributes:
        rtol: error per step relative to the point.
        atol: error per step in the units of the data.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP())
    >>> x = gm.sample(family, gm.AdaptiveODE(), draws=2000, progress=False)["posterior"]["x"].values
    >>> round(float(x.mean()), 1), round(float(x.std()), 1)
    (1.0, 0.5)
    """

    rtol: float = 1e-4
    atol: float = 1e-4

    takes: ClassVar[type] = FlatFamily
    bias: ClassVar[str | None] = "the way back starts from a Gaussian"

    def __check_init__(self) -> None:
        check_positive(self, "rtol", "atol")

    def draw(self, key: Array, target: FlatFamily) -> tuple[Float[Array, " dim"], Stats]:
        import diffrax

        process, x = target.process, target.start(key)
        last, end = jnp.asarray(setting(process, "t_signal"), float), jnp.zeros((), float)
        least = noise_ratio(process, setting(process, "t_min")) * (SMALL if target.first == 0.0 else 1.0)
        rest = noise_ratio(process, end)  # noise that is kept at t = 0
        high, low = jnp.log(noise_ratio(process, last)), jnp.log(jnp.maximum(rest, least))

        def field(place: Any, y: Any, args: Any) -> Any:
            t = time_of_ratio(process, jnp.exp(place))
            return y - target.denoise(process.alpha(t) * y, t)

        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Tsit5(),
            high,
            low,
            None,
            x / process.alpha(last),
            stepsize_controller=diffrax.PIDController(rtol=self.rtol, atol=self.atol),
            max_steps=MOST,
            throw=False,
        )
        y, t = solution.ys[-1], time_of_ratio(process, jnp.exp(low))
        y = process.alpha(end) * jnp.where(rest < least, target.denoise(process.alpha(t) * y, t), y)
        reached = solution.result == diffrax.RESULTS.successful
        return jnp.where(reached, y, jnp.nan).astype(x.dtype), {"n_steps": solution.stats["num_steps"]}
