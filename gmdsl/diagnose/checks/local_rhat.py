r"""Does every chain spend the same share of its draws in each region? R-hat of indicators.

A mode of a few percent that one chain visits and the others never see moves neither the means of the chains nor their
spread by much: R-hat stays near 1.00. The share $p_c$ of draws of chain c with $x \le q$ tells, for quantiles q near
both ends. With $\tau$ the autocorrelation time of the indicator inside chains of n draws, chains of one law have

$$T(q) = \sum_c \frac{(p_c - \bar p)^2}{\bar p (1 - \bar p)\, \tau / n} \sim \chi^2_{C-1},$$

which is, up to its scale, R-hat of the indicator. The largest over all quantiles and elements is judged.

Reference:
    Moins, Arbel, Dutfoy and Girard, *On the use of a local R-hat to improve MCMC convergence diagnostic*, Bayesian
    Analysis, 2023; Geyer, *Practical Markov chain Monte Carlo*, 1992 (the sum of autocorrelations).
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from gmdsl.diagnose.checks.draws import by_element
from gmdsl.diagnose.report import Finding, percent

LOW = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
LEVELS = (*LOW, 0.5, *(1.0 - level for level in reversed(LOW)))
LEAST = 100  # draws per chain
LEVEL = 1e-6  # chance that chains of one law are called suspect, for each element; their laws differ from chi-square
AT_ONCE = 64  # elements whose autocorrelations are looked at, those that differ most
SHOWN = 4  # chains whose shares are told

ADVICE = (
    "A region was visited by some chains and not by others: run longer, start chains there (init=), or carry a"
    " population (gm.SMC, gm.ParallelTempering)."
)


def local_rhat(moving: Any) -> Finding | None:
    """The finding "local R-hat"; None where there are too few draws or chains to tell."""
    from scipy.stats import chi2

    chains, draws = moving.sizes["chain"], moving.sizes["draw"]
    if chains < 2 or draws < LEAST or not len(moving.data_vars):
        return None
    count = sum(by_element(variable).shape[2] for variable in moving.data_vars.values())
    limit = float(chi2.isf(LEVEL / count, chains - 1))
    worst, where = 0.0, None
    for name, variable in moving.data_vars.items():
        values = by_element(variable)
        for element in _candidates(values, limit):
            found, level, shares = _largest(values[..., element])
            if found > worst:
                worst, where = found, (str(name), values.shape[2] > 1, element, level, shares)
    if where is None or worst <= limit:
        return Finding("local R-hat", "ok", "chains have the same shares of draws between quantiles, within chance")
    name, several, element, level, shares = where
    told = ", ".join(percent(share) for share in _extremes(shares))
    place = f"{name}[{element}]" if several else name
    evidence = f"{place} is below {level:.3g} in {told} of the draws, by chain; chance does not give this"
    return Finding("local R-hat", "suspect", evidence, ADVICE)


def _candidates(values: Float[np.ndarray, "chain draw element"], limit: float) -> list[int]:
    """The elements that would be suspect if their draws were independent, those that differ most first."""
    chains, draws, _ = values.shape
    largest = np.zeros(values.shape[2])
    for level in LEVELS:
        shares = _below(values, np.quantile(values, level, axis=(0, 1))).mean(axis=1)
        mean = shares.mean(axis=0)
        variance = mean * (1.0 - mean) / draws
        far = ((shares - mean) ** 2).sum(axis=0)
        largest = np.maximum(largest, np.where(variance > 0, far / np.where(variance > 0, variance, 1.0), 0.0))
    several = np.argsort(-largest)[:AT_ONCE]
    return [int(i) for i in several if largest[i] > limit and chains > 1]


def _below(values: np.ndarray, level: Any) -> Bool[np.ndarray, "..."]:
    return values <= level


def _largest(values: Float[np.ndarray, "chain draw"]) -> tuple[float, float, np.ndarray]:
    """The largest T over the quantiles, the quantile, and the shares of the chains."""
    best: tuple[float, float, np.ndarray] = (0.0, 0.0, np.zeros(values.shape[0]))
    for level in np.quantile(values, LEVELS):
        inside = _below(values, level).astype(float)
        shares = inside.mean(axis=1)
        mean = shares.mean()
        if not 0.0 < mean < 1.0:
            continue
        variance = mean * (1.0 - mean) * autocorrelation_time(inside) / values.shape[1]
        found = float(((shares - mean) ** 2).sum() / variance)
        if found > best[0]:
            best = (found, float(level), shares)
    return best


def autocorrelation_time(values: Float[np.ndarray, "chain draw"]) -> float:
    r"""$\tau = 1 + 2 \sum_k \rho_k$ inside chains, each about its own mean, by Geyer's initial monotone sequence.

    >>> walk = np.repeat(np.random.default_rng(0).normal(size=(4, 1000)), 5, axis=1)
    >>> round(autocorrelation_time(walk))
    5
    """
    draws = values.shape[1]
    gaps = values - values.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(gaps, 2 * draws, axis=1)) ** 2
    covariance = np.fft.irfft(power, axis=1)[:, :draws].mean(axis=0)
    if covariance[0] <= 0.0:
        return 1.0
    half = draws // 2
    pairs = (covariance[: 2 * half : 2] + covariance[1 : 2 * half : 2]) / covariance[0]
    negative = np.flatnonzero(pairs <= 0.0)
    pairs = np.minimum.accumulate(pairs[: negative[0] if negative.size else half])
    return max(2.0 * float(pairs.sum()) - 1.0, 1.0 / np.log10(values.size + 10.0))


def _extremes(shares: np.ndarray) -> np.ndarray:
    """The shares of all chains where they are few, else the smallest and the largest."""
    return shares if len(shares) <= SHOWN else np.array([shares.min(), shares.max()])
