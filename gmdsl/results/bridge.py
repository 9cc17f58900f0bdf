r"""Ratios of normalising constants from draws of both densities: bridge sampling by Bennett's acceptance ratio.

With the difference of log-densities $\Delta = \log p_1 - \log p_0$ and $\sigma$ the logistic function, the ratio
$c = \log Z_1 / Z_0$ solves, for $n_0$ and $n_1$ draws,

$$n_0\, E_0[\sigma(\Delta - c + m)] = n_1\, E_1[\sigma(c - m - \Delta)], \qquad m = \log n_1 / n_0.$$

No other function of the two densities gives a smaller error with independent draws. Chains are correlated, so the error
is that of the mean of the two sides in time, by their effective size.

References:
    Bennett, *Efficient estimation of free energy differences from Monte Carlo data*, 1976; Meng and Wong, *Simulating
    ratios of normalizing constants via a simple identity*, Statistica Sinica 6, 1996.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import expit

REACH = 50.0  # nats beyond the differences seen between which the ratio is looked for
OVERLAP = 0.01  # share of draws of one density that could be of the other, below which there is no bridge


class BridgeEstimate(NamedTuple):
    """A ratio of normalising constants.

    Attributes:
        log_ratio: log Z of the second density less that of the first.
        below: what each draw of the first density adds to the error, same shape as was given.
        above: likewise of the second.
        overlap: mean acceptance between the two, 1/2 each way where they are equal, near 0 where they have nothing in
            common.
    """

    log_ratio: float
    below: np.ndarray
    above: np.ndarray
    overlap: float


def bridge(below: Float[np.ndarray, "..."], above: Float[np.ndarray, "..."], effective: float = 1.0) -> BridgeEstimate:
    """The ratio of two normalising constants.

    Args:
        below: difference of log-densities, second less first, at draws of the first.
        above: the same at draws of the second.
        effective: how many draws of the second count, as a share.

    >>> rng = np.random.default_rng(0)
    >>> first, second = rng.normal(0, 1, 20_000), rng.normal(1, 1, 20_000)
    >>> found = bridge(first - 0.5 + 2.0, second - 0.5 + 2.0)  # log N(x; 1, 1) + 2 - log N(x; 0, 1)
    >>> abs(found.log_ratio - 2.0) < 0.05
    True
    """
    first, second = np.asarray(below, float), np.asarray(above, float)
    first, second = (np.where(np.isnan(values), -np.inf, values) for values in (first, second))
    weight = effective * second.size / first.size  # n_1 / n_0
    shift = np.log(weight)

    def gap(c: float) -> float:
        return float(np.mean(expit(first - c + shift)) - weight * np.mean(expit(c - shift - second)))

    finite = np.concatenate([first[np.isfinite(first)], second[np.isfinite(second)]])
    nothing = BridgeEstimate(np.nan, np.zeros_like(first), np.zeros_like(second), 0.0)
    if not finite.size or not np.isfinite(second).any():
        return nothing
    low, high = finite.min() - REACH, finite.max() + REACH
    if gap(low) * gap(high) > 0:
        return nothing
    c = float(brentq(gap, low, high, xtol=1e-12))
    forth, back = expit(first - c + shift), weight * expit(c - shift - second)
    slope = np.mean(forth * (1.0 - expit(first - c + shift))) + np.mean(back * (1.0 - expit(c - shift - second)))
    if slope <= 0:
        return nothing
    overlap = float(min(forth.mean(), back.mean()))
    return BridgeEstimate(c, (forth - forth.mean()) / slope, -(back - back.mean()) / slope, overlap)


def error_of_chains(values: Float[np.ndarray, "chains draws"]) -> tuple[float, float]:
    """Standard error of the mean of correlated values, and how many independent ones they are worth.

    >>> error, size = error_of_chains(np.random.default_rng(0).normal(size=(4, 1000)))
    >>> 0.013 < error < 0.019, size > 2000
    (True, True)
    """
    from arviz_stats.base import array_stats

    spread = values.std()
    if spread == 0 or values.shape[1] < 4:
        return 0.0, float(values.size)
    size = float(array_stats.ess(values, chain_axis=0, draw_axis=1, method="mean"))
    size = min(size, float(values.size)) if np.isfinite(size) else 1.0
    return float(spread / np.sqrt(size)), size
