"""Estimates from weighted draws: log Z with its standard error and effective size, and resampling.

The standard error comes from leaving out one of twenty groups of draws at a time, which sees heavy
weights better than the usual formula.
"""

from dataclasses import dataclass, field

import numpy as np

GROUPS = 20


@dataclass(frozen=True)
class LogZ:
    """An estimate of a log normalising constant.

    Attributes:
        log_z: the estimate; -inf when no particle reached the target.
        standard_error: by leaving out groups of particles.
        ess: effective number of particles, from the weights.
        curve: `betas` and the estimate at each, for a look at where weights are lost; empty without a path.
        method: what made it.
        particles: how many there were.
        log_weight: their log-weights, for `gm.check`.
    """

    log_z: float
    standard_error: float
    ess: float
    curve: dict[str, np.ndarray] = field(repr=False, default_factory=dict)
    method: str = ""
    particles: int = 0
    log_weight: np.ndarray = field(repr=False, compare=False, default_factory=lambda: np.full(1, -np.inf))

    @property
    def status(self) -> str:
        """The word "failed" without any weight, "suspect" when fewer than 5 % of the particles count, else "ok"."""
        if not np.isfinite(self.log_z):
            return "failed"
        return "suspect" if self.ess < 0.05 * self.particles else "ok"


def estimate(log_weight: np.ndarray, method: str, curve: dict[str, np.ndarray] | None = None) -> LogZ:
    """Log of the mean weight, in the logarithm from the largest on."""
    n, top, curve = len(log_weight), log_weight.max(), curve or {}
    if not np.isfinite(top):
        return LogZ(-np.inf, np.inf, 0.0, curve, method, n, log_weight)
    weight = np.exp(log_weight - top)
    if n < 2:
        return LogZ(float(top), np.inf, float(n), curve, method, n, log_weight)
    groups = np.array_split(weight, min(GROUPS, n))
    sums, sizes = np.array([part.sum() for part in groups]), np.array([len(part) for part in groups])
    left = np.log(np.maximum((weight.sum() - sums) / (n - sizes), np.finfo(float).tiny))
    error = np.sqrt((len(groups) - 1) / len(groups) * np.sum((left - left.mean()) ** 2))
    ess = weight.sum() ** 2 / (weight**2).sum()
    return LogZ(float(top + np.log(weight.mean())), float(error), float(ess), curve, method, n, log_weight)
