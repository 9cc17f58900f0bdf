"""Estimates from weighted draws: log Z with its standard error and effective size, and resampling.

The standard error comes from leaving out one of twenty groups of draws at a time, which sees heavy weights better than
the usual formula. It is widened by the Student-t quantile of so many groups, and by what the fitted tail of the weights
has beyond the largest of them, so that two of it cover in about 94 % of the runs whose status is "ok".
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from gmdsl.results.reliability import Verdict, judge, unseen_share

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
        outgrown: where the target has heavier tails than the reference, in words; empty where it does not.
    """

    log_z: float
    standard_error: float
    ess: float
    curve: dict[str, np.ndarray] = field(repr=False, default_factory=dict)
    method: str = ""
    particles: int = 0
    log_weight: np.ndarray = field(repr=False, compare=False, default_factory=lambda: np.full(1, -np.inf))
    outgrown: str = field(repr=False, default="")

    @property
    def verdict(self) -> Verdict:
        """What the weights are worth, in words; `gm.check` says the same."""
        return judge(self.log_weight, self.outgrown)

    @property
    def status(self) -> str:
        """The word "failed" without any weight, "suspect" when the standard error may not cover, else "ok"."""
        return self.verdict.status if np.isfinite(self.log_z) else "failed"


def estimate(
    log_weight: np.ndarray, method: str, curve: dict[str, np.ndarray] | None = None, outgrown: str = ""
) -> LogZ:
    """Log of the mean weight, in the logarithm from the largest on."""
    n, top = len(log_weight), log_weight.max()
    rest = (curve or {}, method, n, log_weight, outgrown)
    if not np.isfinite(top):
        return LogZ(-np.inf, np.inf, 0.0, *rest)
    weight = np.exp(log_weight - top)
    if n < 2:
        return LogZ(float(top), np.inf, float(n), *rest)
    ess = weight.sum() ** 2 / (weight**2).sum()
    error = float(np.hypot(leave_out_error(weight), unseen_share(log_weight)))
    return LogZ(float(top + np.log(weight.mean())), error, float(ess), *rest)


def leave_out_error(weight: np.ndarray) -> float:
    """Half the 95 % interval of the logarithm of a mean, by leaving out groups; in a normal law one standard error.

    Raises:
        ZeroDivisionError: there are fewer than two.
    """
    n = len(weight)
    groups = np.array_split(weight, min(GROUPS, n))
    sums, sizes = np.array([part.sum() for part in groups]), np.array([len(part) for part in groups])
    left = np.log(np.maximum((weight.sum() - sums) / (n - sizes), np.finfo(float).tiny))
    error = np.sqrt((len(groups) - 1) / len(groups) * np.sum((left - left.mean()) ** 2))
    return float(error * stdtrit(len(groups) - 1, 0.975) / stdtrit(np.inf, 0.975))
