r"""Mean-field variational inference: the closest Gaussian with independent coordinates.

$q = \prod_i N(\mu_i, \sigma_i^2)$ is closest in $KL(q\,|\,p)$, in unconstrained coordinates. It is too narrow where
coordinates are correlated: for a Gaussian with precision matrix $\Lambda$ the means are right and the variances are
$1 / \Lambda_{ii}$, not $(\Lambda^{-1})_{ii}$.

Reference:
    Kucukelbir et al., *Automatic differentiation variational inference*, JMLR 18, 2017;
    MacKay, *Information Theory, Inference, and Learning Algorithms*, 2003, chapter 33 (the variances).
"""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.generator import Generator, Stats
from gmdsl.samplers.approximations.gaussians import Diagonal, weighed
from gmdsl.samplers.approximations.labels import labels
from gmdsl.samplers.approximations.variational import Frame, check_variational, raised


class MeanField(Generator):
    """Independent draws of the closest Gaussian with independent coordinates.

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
    bias: ClassVar[str | None] = "draws of an approximation: a Gaussian with independent coordinates"

    def __check_init__(self) -> None:
        check_variational(self)

    @property
    def resamples(self) -> bool:  # ty: ignore[incompatible-property-override]
        return self.resample

    def prepare(self, key: Array, target: Any, report: Any) -> "MeanField":
        del report
        if self.fitted is not None:
            return self
        begin = (jnp.zeros(target.dim), jnp.zeros(target.dim))
        found = raised(self, begin, _gaussian, key, target)
        return eqx.tree_at(lambda s: s.fitted, self, found, is_leaf=lambda leaf: leaf is None)

    def draw(self, key: Array, target: Any) -> tuple[Float[Array, " dim"], Stats]:
        return weighed(self.fitted.q, key, target)

    def found(self, target: Any) -> dict[str, Any]:
        return {
            "coordinate": np.array(labels(target)),
            "mean": np.asarray(self.fitted.q.mean),
            "std": np.asarray(self.fitted.q.std),
            "elbo": np.asarray(self.fitted.elbo),
            "skipped_updates": np.asarray(self.fitted.skipped),
        }


def _gaussian(parameters: tuple[Array, Array], frame: Frame) -> Diagonal:
    shift, log_std = parameters
    return Diagonal(frame.center + frame.scale * shift, frame.scale * jnp.exp(log_std))
