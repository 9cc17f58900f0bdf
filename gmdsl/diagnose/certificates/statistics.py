r"""Test functions, the law they should have, and the comparison of chains with it.

A chain that starts at an exact draw keeps the target's law at every step, so the mean of a function $f$ along it has
expectation $E_\pi f$ exactly, whatever the autocorrelation. Chains are independent, so the spread of their means
gives the standard error, and

$$ z = \frac{\frac1n \sum_c \bar f_c - \hat E_\pi f}{\sqrt{s^2 / n + v / N}} $$

is standard normal, with $v/N$ the error of the expectation from $N$ exact draws. No estimate of an effective size is
needed.

Reference:
    Geweke, *Getting it right: joint distribution tests of posterior simulators*, 2004; Gandy and Scott,
    *Unit testing for MCMC and other Monte Carlo methods*, 2020, arXiv:2001.06465.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

RATE = 1e-3  # false alarms of one certificate, all its statistical checks together
SHARE = RATE / 4  # of one check: invariance, start, one kernel, precision
POWER = 0.9
PART = 2**16  # draws whose test functions are held in memory at a time


@dataclass(frozen=True)
class Law:
    """What exact draws say of a target.

    Attributes:
        location: means of the coordinates, (dim,).
        scale: their standard deviations, (dim,).
        low, high: 5 % and 95 % quantiles of the standardised coordinates, (dim,).
        level: mean and standard deviation of the log-density.
        mean: expectations of the test functions.
        variance: variances of these estimates.
    """

    location: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: tuple[float, float]
    mean: np.ndarray
    variance: np.ndarray

    def functions(self, x: np.ndarray, lp: np.ndarray) -> np.ndarray:
        """The test functions at positions (..., dim) with log-densities (...): (..., functions)."""
        z = self.standard(x)
        z = np.where(np.isfinite(z), z, np.nan)  # differences of infinities would warn
        first, second = np.triu_indices(z.shape[-1], 1)
        bent = np.tanh(z)
        level = np.where(np.isfinite(lp), (np.asarray(lp, float) - self.level[0]) / self.level[1], np.nan)
        parts = (z, np.abs(z), z < self.low, z > self.high, bent[..., first] * bent[..., second], level[..., None])
        return np.concatenate(parts, axis=-1)

    def standard(self, x: np.ndarray) -> np.ndarray:
        """Positions in standard deviations from the mean."""
        return (np.asarray(x, float) - self.location) / self.scale

    @property
    def names(self) -> list[str]:
        """What the test functions are."""
        dim = len(self.location)
        kinds = ("mean of x{}", "spread of x{}", "lower tail of x{}", "upper tail of x{}")
        names = [kind.format(f"[{i}]") for kind in kinds for i in range(dim)]
        pairs = zip(*np.triu_indices(dim, 1), strict=True)
        return [*names, *(f"dependence of x[{i}] and x[{j}]" for i, j in pairs), "mean of the log-density"]


def law_of(x: np.ndarray, lp: np.ndarray) -> Law:
    """The law of exact draws, (draws, dim), with their log-densities, (draws,)."""
    x, lp = np.asarray(x, float), np.asarray(lp, float)
    location, scale = x.mean(0), x.std(0)
    low, high = np.quantile((x - location) / scale, (0.05, 0.95), axis=0)
    bare = Law(location, scale, low, high, (float(lp.mean()), float(lp.std())), np.zeros(0), np.zeros(0))
    sums = np.zeros((2, len(bare.names)))
    for i in range(0, len(x), PART):
        values = bare.functions(x[i : i + PART], lp[i : i + PART])
        sums += np.stack([values.sum(0), (values**2).sum(0)])
    mean, square = sums / len(x)
    variance = (square - mean**2) / len(x)
    return Law(location, scale, low, high, bare.level, mean, variance)


@dataclass(frozen=True)
class Comparison:
    """Differences of means, their standard errors, and what they are differences of."""

    names: list[str]
    error: np.ndarray
    standard_error: np.ndarray

    @property
    def z(self) -> np.ndarray:
        """Standard errors from zero; what is not a number is infinitely far."""
        size = np.abs(self.error) / np.maximum(self.standard_error, 1e-12)
        return np.where(np.isfinite(size), size, np.inf)

    @property
    def worst(self) -> int:
        """Index of the largest."""
        return int(np.argmax(self.z))

    def describe(self) -> str:
        """The largest, in words."""
        return f"{self.names[self.worst]} off by {self.error[self.worst]:+.3g} ({self.z[self.worst]:.1f} s.e.)"


def against_law(means: np.ndarray, law: Law) -> Comparison:
    """Means along independent chains, (chains, functions), against the law."""
    variance = means.var(0, ddof=1) / len(means) + law.variance
    return Comparison(law.names, means.mean(0) - law.mean, np.sqrt(variance))


def between(first: np.ndarray, second: np.ndarray, names: list[str]) -> Comparison:
    """Means along two groups of independent chains against each other."""
    variance = first.var(0, ddof=1) / len(first) + second.var(0, ddof=1) / len(second)
    return Comparison(names, first.mean(0) - second.mean(0), np.sqrt(variance))


def limit(tests: int, rate: float = SHARE) -> float:
    """The z-score that the largest of so many exceeds with at most this probability (Bonferroni).

    >>> round(limit(1, rate=0.05), 2)
    1.96
    """
    return float(-ndtri(rate / tests / 2))


def seen(standard_error: float, tests: int, rate: float = SHARE) -> float:
    """The smallest error that one of so many tests sees with power 0.9.

    >>> round(seen(0.01, tests=50), 4)
    0.0585
    """
    return (limit(tests, rate) + float(ndtri(POWER))) * standard_error


def smallest(comparisons: list[Comparison], laws: list[Law], rate: float = SHARE) -> str:
    """The smallest shift and error of scale that all coordinates of all targets would show, in words."""
    tests = sum(len(c.names) for c in comparisons)
    shift = spread = 0.0
    for comparison, law in zip(comparisons, laws, strict=True):
        dim = len(law.location)
        shift = max(shift, comparison.standard_error[:dim].max())
        spread = max(spread, (comparison.standard_error[dim : 2 * dim] / law.mean[dim : 2 * dim]).max())
    return (
        f"a shift of {seen(shift, tests, rate):.2g} sd, or a scale {100 * seen(spread, tests, rate):.2g} % off,"
        f" with power {POWER:g}"
    )
