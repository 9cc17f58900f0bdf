r"""DPM-Solver++: the probability flow with its linear part solved exactly, of order two or three in log-SNR.

With $\lambda = \log(\alpha/\sigma)$ the flow from t to s is $x_s = \frac{\sigma_s}{\sigma_t} x_t + \sigma_s
\int_{\lambda_t}^{\lambda_s} e^{\lambda} D(\lambda)\, d\lambda$. The denoiser D is extrapolated by the polynomial
through the last two (2M) or three (3M) steps, and the integral is exact. One evaluation per step; good draws in 10 to
20. The first steps have fewer values and lower order, and so has the step to no noise at all, which ends at the
denoised point.

Reference:
    Lu et al., *DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models*, 2022,
    arXiv:2211.01095 (algorithm 2).
"""

from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array

from gmdsl.core.errors import check_not_negative, check_one_of
from gmdsl.diffusion.effective_noise import effective_sigma, effective_time, expected_centre
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.multistep import Past, exponential_weights
from gmdsl.diffusion.process import Scalar
from gmdsl.diffusion.solver import Solver
from gmdsl.diffusion.time_grid import LogSNRGrid, TimeGrid


class DPMSolver(Solver):
    """One evaluation of the denoiser per step.

    Attributes:
        order: 2 or 3.
        width: standard deviation of the finest structure of the data, in their units: the flow of a Gaussian that wide
            is exact, and steps go evenly to the data. When None it is that of the narrowest component where the family
            is a mixture in closed form, else 0: nothing is supposed. Wider than the data it spoils a few steps.
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

    def init(self, family: FlatFamily, x: Array) -> Past:
        return Past.empty(self.order, x)

    def step(self, family: FlatFamily, x: Array, t: Scalar, s: Scalar, memory: Any) -> tuple[Array, Any]:
        process, width = family.process, self._width(family)
        now, then = effective_time(process, t, width), effective_time(process, s, width)
        memory = memory.remember(expected_centre(family, x, t, width), now)
        push = exponential_weights(memory, now, then) @ memory.values
        ratio = effective_sigma(process, s, width) / effective_sigma(process, t, width)
        return ratio * x + process.alpha(s) * push, memory

    def _width(self, family: FlatFamily) -> Any:
        return family.width if self.width is None else self.width
