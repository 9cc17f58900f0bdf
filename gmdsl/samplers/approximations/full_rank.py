r"""Full-rank variational inference: the closest Gaussian of any covariance, $q = N(\mu, L L^T)$.

Close is meant in $KL(q\,|\,p)$, in unconstrained coordinates. For a Gaussian target it is exact; elsewhere it
weighs the mass around the mean, where Laplace's approximation sees the mode alone.

Reference:
    Kucukelbir et al., *Automatic differentiation variational inference*, JMLR 18, 2017.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.generator import Generator, Stats
from gmdsl.samplers.approximations.gaussians import Dense, weighed
from gmdsl.samplers.approximations.labels import labels
from gmdsl.samplers.approximations.variational import Frame, check_variational, raised


class FullRank(Generator):
    """Independent draws of the closest Gaussian. Its covariance has dim (dim + 1) / 2 numbers to learn.

    Attributes:
        updates: steps of Adam, all in one compiled loop.
        estimate: draws per step.
        learning_rate: of Adam, in units of the curvature, falling to zero along a cosine.
        resample: whether draws are resampled by their weights; else they are those of the Gaussian.
        fitted: the Gaussian and the bound at every step; filled by `prepare`.
    """

    updates: int = 2000
    estimate: int = 10
    learning_rate: float = 0.05
    resample: bool = False
    fitted: Any = None

    reverses: ClassVar[bool] = False
    bias: ClassVar[str | None] = "draws of an approximation: a Gaussian"

    def __check_init__(self) -> None:
        check_variational(self)

    @property
    def resamples(self) -> bool:  # ty: ignore[incompatible-property-override]
        return self.resample

    def prepare(self, key: Array, target: Any, report: Any) -> "FullRank":
        del report
        if self.fitted is not None:
            return self
        begin = (jnp.zeros(target.dim), jnp.zeros(target.dim), jnp.zeros((target.dim, target.dim)))
        found = raised(self, begin, _gaussian, key, target)
        return eqx.tree_at(lambda s: s.fitted, self, found, is_leaf=lambda leaf: leaf is None)

    def draw(self, key: Array, target: Any) -> tuple[Float[Array, " dim"], Stats]:
        return weighed(self.fitted.q, key, target)

    def found(self, target: Any) -> dict[str, Any]:
        q = self.fitted.q
        return {
            "coordinate": np.array(labels(target)),
            "mean": np.asarray(q.mean),
            "covariance": np.asarray(q.factor @ q.factor.T),
            "elbo": np.asarray(self.fitted.elbo),
            "skipped_updates": np.asarray(self.fitted.skipped),
        }


def _gaussian(parameters: tuple[Array, Array, Array], frame: Frame) -> Dense:
    """Below the diagonal the factor is learned as it is, on it by the logarithm."""
    shift, log_diagonal, below = parameters
    factor = jnp.tril(below, -1) + jnp.diag(jnp.exp(log_diagonal))
    return Dense(frame.center + frame.scale * shift, frame.scale[:, None] * factor)
