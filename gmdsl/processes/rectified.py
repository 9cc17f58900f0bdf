r"""The straight interpolant of flow matching, $x_t = (1 - t)\, x_0 + t\, \epsilon$.

Given datum and noise a point moves along a straight line with the velocity $\epsilon - x_0$; the flow follows its
expectation $E[\epsilon - x_0 \mid x_t]$. At t = 1 nothing is left of the datum: the way back starts from the very law
$N(0, I)$ of the noise, whatever the data. Drift and diffusion, $f = -1/(1 - t)$ and $g^2 = 2t/(1 - t)$, are infinite
there; from t = 0.99 on they stay what they are.

Reference:
    Liu, Gong, Liu, *Flow straight and fast: learning to generate and transfer data with rectified flow*, 2022,
    arXiv:2209.03003; Lipman et al., *Flow matching for generative modeling*, 2022, arXiv:2210.02747.
"""

from typing import Any, ClassVar

import jax.numpy as jnp

from gmdsl.core.errors import SpecError
from gmdsl.diffusion.process import Process, Scalar


class Rectified(Process):
    r"""$\alpha = 1 - t$, $\sigma = t$. Scale data to a variance near one. Learned by `gm.FlowMatching()`.

    Attributes:
        t_max: the last time, at most 1, where no signal is left.

    >>> process = Rectified()
    >>> float(process.alpha(0.25)), float(process.sigma(0.25)), float(process.alpha(1.0))
    (0.75, 0.25, 0.0)
    """

    t_max: float = 1.0

    stationary: ClassVar[float | None] = 1.0

    def __check_init__(self) -> None:
        if not 0.0 < self.t_max <= 1.0:
            raise SpecError(f"Rectified(t_max={self.t_max}): a time above 0 and at most 1 is needed.")

    @property
    def t_signal(self) -> float:
        last: Any = self.t_max
        least: Any = min if isinstance(last, float | int) else jnp.minimum  # an array inside of a run
        return least(last, 0.99)

    def alpha(self, t: Scalar) -> Scalar:
        return 1.0 - jnp.asarray(t, float)

    def sigma(self, t: Scalar) -> Scalar:
        return jnp.asarray(t, float)
