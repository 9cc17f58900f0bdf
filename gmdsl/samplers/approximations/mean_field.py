r"""Mean-field variational inference: the closest Gaussian with independent coordinates.

$q = \prod_i N(\mu_i, \sigma_i^2)$ is closest in $KL(q\,|\,p)$, in unconstrained coordinates. It is too narrow where
coordinates are correlated: for a Gaussian with precision matrix $\Lambda$ the means are right and the variances are
$1 / \Lambda_{ii}$, not $(\Lambda^{-1})_{ii}$.

Reference:
    Kucukelbir et al., *Automatic differentiation variational inference*, JMLR 18, 2017;
    MacKay, *Information Theory, Inference, and Learning Algorithms*, 2003, chapter 33 (the variances).
"""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.samplers.approximations.fitting.gaussian_fit import GaussianFit
from gmdsl.samplers.approximations.fitting.gaussians import Diagonal
from gmdsl.samplers.approximations.fitting.variational import Frame


class MeanField(GaussianFit):
    """Independent draws of the closest Gaussian with independent coordinates.

    Attributes:
        updates: steps of Adam, all in one compiled loop.
        estimate: draws per step.
        learning_rate: of Adam, in units of the curvature, falling to zero along a cosine.
        resample: whether draws are resampled by their weights; else they are those of the Gaussian.
        fitted: the Gaussian and the bound at every step; filled by `prepare`.
    """

    bias: ClassVar[str | None] = "draws of an approximation: a Gaussian with independent coordinates"

    @staticmethod
    def begin(dim: int) -> Any:
        return jnp.zeros(dim), jnp.zeros(dim)

    @staticmethod
    def build(parameters: tuple[Array, Array], frame: Frame) -> Diagonal:
        shift, log_std = parameters
        return Diagonal(frame.center + frame.scale * shift, frame.scale * jnp.exp(log_std))

    @staticmethod
    def spread(q: Diagonal) -> dict[str, Any]:
        return {"std": q.std}
