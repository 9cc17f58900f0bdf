"""Estimates from weighted draws: log Z with its standard error and effective size, and resampling.

The standard error comes from leaving out one of twenty groups of draws at a time, widened by the Student-t quantile of
so many groups. A sample of skewed weights that misses the large ones has a mean and an error that are both too small:
the upper end of the interval knows the skewness, and the longer side counts. What the fitted tail of the weights has
beyond the largest of them is added, so that two errors cover in about 95 % of the runs whose status is "ok".

Reference:
    Hall, *On the removal of skewness by transformation*, JRSS B 54, 1992 (the cubic transformation).
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from gmdsl.results.reliability import Verdict, judge, unseen_share

GROUPS = 20
LONGEST = 1.5  # the longer side, in the shorter one: more is the doing of one large value, and no estimate of skewness
SYMMETRIC = 1e-6  # skewness of a mean below which its law is symmetric


@dataclass(frozen=True, repr=False)
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
        doubt: what else speaks against it, in words.
        judged: what the estimate is worth, where that is not a matter of its weights.
        lower: from below, where the target was walked to and back from (`gm.log_z(..., end=...)`).
        upper: from above.
    """

    log_z: float
    standard_error: float
    ess: float
    curve: dict[str, np.ndarray] = field(default_factory=dict)
    method: str = ""
    particles: int = 0
    log_weight: np.ndarray = field(compare=False, default_factory=lambda: np.full(1, -np.inf))
    outgrown: str = field(default="")
    doubt: str = field(default="")
    judged: Verdict | None = field(default=None)
    lower: float | None = field(default=None)
    upper: float | None = field(default=None)

    def __repr__(self) -> str:
        found = f"LogZ({self.log_z:.3f} +- {self.standard_error:.3f}, ess={self.ess:.0f}, {self.status}"
        if self.lower is not None and self.upper is not None:
            found += f", between {self.lower:.3f} and {self.upper:.3f}"
        reason = "" if self.status == "ok" else f": {self.verdict.evidence}"
        return f"{found}{reason}) by {self.method}" if self.method else f"{found}{reason})"

    @property
    def verdict(self) -> Verdict:
        """What the weights are worth, in words; `gm.check` says the same."""
        return self.judged or judge(self.log_weight, self.outgrown, self.doubt)

    @property
    def status(self) -> str:
        """The word "failed" without any weight, "suspect" when the standard error may not cover, else "ok"."""
        return self.verdict.status if np.isfinite(self.log_z) else "failed"


def estimate(
    log_weight: np.ndarray,
    method: str,
    curve: dict[str, np.ndarray] | None = None,
    outgrown: str = "",
    groups: int = 0,
    doubt: str = "",
) -> LogZ:
    """Log of the mean weight, in the logarithm from the largest on.

    Args:
        log_weight: of the particles.
        method: what made them.
        curve: `betas` and the estimate at each.
        outgrown: where the target has heavier tails than the reference, in words.
        groups: independent populations of one size that the particles are made of, in this order; 0 where each
            particle is independent of the others.
        doubt: what else speaks against it, in words.
    """
    n, top = len(log_weight), log_weight.max()
    rest = (curve or {}, method, n, log_weight, outgrown, doubt)
    if not np.isfinite(top):
        return LogZ(-np.inf, np.inf, 0.0, *rest)
    weight = np.exp(log_weight - top)
    if n < 2:
        return LogZ(float(top), np.inf, float(n), *rest)
    ess = weight.sum() ** 2 / (weight**2).sum()
    if groups:  # particles of one population depend on each other: its mean weight is one independent value
        independent = weight.reshape(groups, -1).mean(axis=1)
        error = max(leave_out_error(independent), skewed_error(independent))
    else:
        sides = max(leave_out_error(weight), skewed_error(weight))
        error = float(np.hypot(sides, unseen_share(log_weight)))
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
    return float(error * _quantile(len(groups)) / _quantile(np.inf))


def skewed_error(weight: np.ndarray) -> float:
    """The same for the upper part of the interval, of weights whose law is skewed.

    >>> import numpy as np
    >>> few = np.append(np.ones(99), 30.0)
    >>> bool(skewed_error(few) > 1.1 * few.std() / 10 / few.mean())
    True
    """
    side = 2.0 * error_of_mean(weight, min(GROUPS, len(weight))) / weight.mean()
    return float(np.log1p(side) / 2.0)


def error_of_mean(values: np.ndarray, groups: float = np.inf) -> np.ndarray:
    """Half the longer side of the 95 % interval of the mean of independent values; in a normal law one standard error.

    Args:
        values: one per draw, in the first axis.
        groups: of the Student-t quantile.

    Returns:
        An array of the shape of one value.

    >>> import numpy as np
    >>> round(float(error_of_mean(np.arange(-50.0, 51.0))), 3), round(float(np.arange(101).std() / 10), 3)
    (2.915, 2.915)
    """
    n, spread = len(values), values.std(axis=0, ddof=1)
    error = spread / np.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        skewness = np.abs(np.mean(((values - values.mean(axis=0)) / spread) ** 3, axis=0)) / np.sqrt(n)
        low, k = -_quantile(groups), np.maximum(skewness, SYMMETRIC)
        far = 3.0 / k * (1.0 - np.cbrt(1.0 + k * (low - k / 6.0)))
    far = np.where(skewness > SYMMETRIC, np.clip(far, -low, -LONGEST * low), -low)
    return np.where(error > 0, far * error, 0.0) / _quantile(np.inf)


def _quantile(groups: float) -> float:
    return float(stdtrit(groups - 1, 0.975))
