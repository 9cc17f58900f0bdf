r"""Full-rank variational inference: the closest Gaussian of any covariance, $q = N(\mu, L L^T)$.

Close is meant in $KL(q\,|\,p)$, in unconstrained coordinates. For a Gaussian target it is exact; elsewhere it
weighs the mass around the mean, where Laplace's approximation sees the mode alone.

Reference:
    Kucukelbir et al., *Automatic differentiation variational inference*, JMLR 18, 2017.
"""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.samplers.approximations.fitting.gaussian_fit import GaussianFit
from gmdsl.samplers.approximations.fitting.gaussians import Dense
from gmdsl.samplers.approximations.fitting.variational import Frame


class FullRank(GaussianFit):
    """Independent draws of the closest Gaussian. Its covariance has dim (dim + 1) / 2 numbers to learn.

    Attributes:
        updates: steps of Adam, all in one compiled loop.
        estimate: draws per step.
        learning_rate: of Adam, in units of the curvature, falling to zero along a cosine.
        resample: whether draws are resampled by their weights; else they are those of the Gaussian.
        fitted: the Gaussian and the bound at every step; filled by `prepare`.
    """

    bias: ClassVar[str | None] = "draws of an approximation: a Gaussian"

    @staticmethod
    def begin(dim: int) -> Any:
        return jnp.zeros(dim), jnp.zeros(dim), jnp.zeros((dim, dim))

    @staticmethod
    def build(parameters: tuple[Array, Array, Array], frame: Frame) -> Dense:
        """Below the diagonal the factor is learned as it is, on it by the logarithm."""
        shift, log_diagonal, below = parameters
        factor = jnp.tril(below, -1) + jnp.diag(jnp.exp(log_diagonal))
        return Dense(frame.center + frame.scale * shift, frame.scale[:, None] * factor)

    @staticmethod
    def spread(q: Dense) -> dict[str, Any]:
        return {"covariance": q.factor @ q.factor.T}
