"""What mean-field and full-rank variational inference share: the settings, and draws of the Gaussian that was found."""

import abc
from typing import Any, Self

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from gmdsl.inference.generator import Generator, Prepared
from gmdsl.inference.stats import Stats
from gmdsl.samplers.approximations.fitting.gaussians import weighed
from gmdsl.samplers.approximations.fitting.labels import labels
from gmdsl.samplers.approximations.fitting.variational import Frame, check_variational, raised


class GaussianFit(Generator):
    """Independent draws of the Gaussian of a family that is closest to the target.

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

    def __check_init__(self) -> None:
        check_variational(self)

    @property
    def resamples(self) -> bool:
        return self.resample

    @staticmethod
    @abc.abstractmethod
    def begin(dim: int) -> Any:
        """Parameters of the unit Gaussian of a frame."""

    @staticmethod
    @abc.abstractmethod
    def build(parameters: Any, frame: Frame) -> Any:
        """The Gaussian of parameters in units of a frame."""

    @staticmethod
    @abc.abstractmethod
    def spread(q: Any) -> dict[str, Any]:
        """How wide a Gaussian is, by name."""

    def prepare(self, key: Array, target: Any, report: Any) -> Prepared[Self]:
        del report
        if self.fitted is not None:
            return Prepared(self, self._found(target))
        found = raised(self, self.begin(target.dim), type(self).build, key, target)
        fitted = eqx.tree_at(lambda s: s.fitted, self, found, is_leaf=lambda leaf: leaf is None)
        return Prepared(fitted, fitted._found(target))

    def draw(self, key: Array, target: Any) -> tuple[Float[Array, " dim"], Stats]:
        return weighed(self.fitted.q, key, target)

    def _found(self, target: Any) -> dict[str, Any]:
        q = self.fitted.q
        return {
            "coordinate": np.array(labels(target)),
            "mean": np.asarray(q.mean),
            **{name: np.asarray(value) for name, value in self.spread(q).items()},
            "elbo": np.asarray(self.fitted.elbo),
            "skipped_updates": np.asarray(self.fitted.skipped),
        }
