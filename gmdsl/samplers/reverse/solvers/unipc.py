r"""UniPC: a predictor and a corrector in log-SNR that share one evaluation of the denoiser.

The predictor is the step of `DPMSolver`, of order p. The denoiser at the point that it reaches is needed for the next
step anyway; with it the step just made is done again, the polynomial now going through the end of the step, too. This
corrects the point to order p + 1 and costs nothing. The last point is not corrected: nothing is evaluated there.

The paper writes the weights as solutions of a small linear system with a free function B(h). Solved in full, they are
the integrals of the interpolating polynomial, whatever B is; they are taken so here.

Reference:
    Zhao et al., *UniPC: a unified predictor-corrector framework for fast sampling of diffusion models*, 2023,
    arXiv:2302.04867 (algorithms 1 and 2, with predicted values kept).
"""

from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import check_not_negative, check_one_of
from gmdsl.diffusion.effective_noise import effective_sigma, effective_time, expected_centre
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.multistep import Past, exponential_weights
from gmdsl.diffusion.process import Scalar
from gmdsl.diffusion.solver import Solver
from gmdsl.diffusion.time_grid import LogSNRGrid, TimeGrid


class Memory(NamedTuple):
    r"""The point from which the last step went, over $\tilde\sigma$, and what was seen up to there."""

    start: Float[Array, " dim"]
    history: Past


class UniPC(Solver):
    """One evaluation of the denoiser per step; the best choice for few of them.

    Attributes:
        order: 2 or 3, of the predictor; the corrected points have one more.
        width: standard deviation of the finest structure of the data, in their units: the flow of a Gaussian that wide
            is exact, and steps go evenly to the data. When None it is that of the narrowest component where the family
            is a mixture in closed form, else 0: nothing is supposed. Wider than the data it spoils a few steps.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), gm.VP())
    >>> x = gm.sample(family, gm.ReverseODE(gm.UniPC(), steps=8), draws=2000, progress=False)["posterior"]["x"].values
    >>> round(float(x.mean()), 1), round(float(x.std()), 1)
    (1.0, 0.5)
    """

    order: int = eqx.field(static=True, default=2)
    width: float | None = None

    prefers: ClassVar[TimeGrid] = LogSNRGrid()

    def __check_init__(self) -> None:
        check_one_of(self, "order", 2, 3)
        if self.width is not None:
            check_not_negative(self, "width")

    def floor(self, family: FlatFamily) -> Any:
        return 0.5 * self._width(family)

    def init(self, family: FlatFamily, x: Array) -> Memory:
        return Memory(jnp.zeros_like(x), Past.empty(self.order, x))

    def step(self, family: FlatFamily, x: Array, t: Scalar, s: Scalar, memory: Any) -> tuple[Array, Any]:
        process, width, (start, seen) = family.process, self._width(family), memory
        now, then = effective_time(process, t, width), effective_time(process, s, width)
        here, there = effective_sigma(process, t, width), effective_sigma(process, s, width)
        centre = expected_centre(family, x, t, width)

        both, before = seen.with_end(centre, now), seen.nodes[0]
        again = here * start + process.alpha(t) * (exponential_weights(both, before, now) @ both.values)
        scaled = (jnp.where(seen.known > 0, again, x) / here).astype(x.dtype)

        seen = seen.remember(centre, now)
        ahead = there * scaled + process.alpha(s) * (exponential_weights(seen, now, then) @ seen.values)
        return ahead, Memory(scaled, seen)

    def _width(self, family: FlatFamily) -> Any:
        return family.width if self.width is None else self.width
