r"""Weighted draws: how many count, and whether the weights have a variance.

The effective number is $(\sum w)^2 / \sum w^2$. The shape k of a Pareto distribution fitted to the largest weights
says more: above 0.7 the estimate has no error bar that can be trusted, however many particles count now.

Reference:
    Kong, *A note on importance sampling using standardized weights*, 1992; Vehtari et al., *Pareto smoothed
    importance sampling*, JMLR 25, 2024.
"""

import numpy as np

from gmdsl.diagnose.report import Finding

LEAST_SHARE = 0.05
LEAST = 100
HEAVY = 0.7  # as in ArviZ
FEW = 25  # draws that a tail is fitted to, at least

ADVICE = "Take more temperatures, longer moves, or a closer reference."


def weights(log_weight: np.ndarray) -> Finding:
    """The finding "weights" from log-weights; draws resampled from them are as good as they are."""
    log_weight = np.where(np.isnan(log_weight), -np.inf, np.asarray(log_weight, float).ravel())
    total, top = log_weight.size, log_weight.max(initial=-np.inf)
    if not np.isfinite(top):
        evidence = f"no weight: ESS 0 of {total} particles, log Z = -inf"
        return Finding("weights", "failed", evidence, "Take a reference that covers the target.")
    weight = np.exp(log_weight - top)
    size = float(weight.sum() ** 2 / (weight**2).sum())
    k = pareto_k(log_weight)
    evidence = f"{size:.0f} of {total} particles count, Pareto k {k:.2f}"
    evidence += f", above {HEAVY}: a few more particles may change all" if k > HEAVY else ""
    if size < max(LEAST_SHARE * total, min(LEAST, total / 2)) or k > HEAVY:
        return Finding("weights", "suspect", evidence, ADVICE)
    return Finding("weights", "ok", evidence)


def pareto_k(log_weight: np.ndarray) -> float:
    """The shape of the upper tail of weights, by ArviZ; NaN for too few, -inf for equal ones.

    >>> import numpy as np
    >>> bool(0.3 < pareto_k(0.5 * np.random.default_rng(0).exponential(size=20_000)) < 0.7)
    True
    """
    from arviz_stats.base import array_stats

    log_weight = log_weight[np.isfinite(log_weight)]
    if log_weight.size < FEW:
        return float("nan")
    if np.ptp(log_weight) < 1e-6:
        return float("-inf")
    return float(array_stats.psislw(log_weight.max() - log_weight)[1])  # it takes minus log-weights
