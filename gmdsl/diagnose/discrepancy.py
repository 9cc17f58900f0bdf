r"""How far two sets of draws are apart: maximum mean discrepancy and sliced Wasserstein distance.

Reference:
    Gretton et al., *A kernel two-sample test*, JMLR 13, 2012; Bonneel et al., *Sliced and Radon Wasserstein
    barycenters of measures*, 2015.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError


@dataclass(frozen=True)
class MMD:
    """The squared maximum mean discrepancy of two sets of draws, and how surprising it is if both have one law.

    Attributes:
        squared: the unbiased estimate; it can be below zero.
        p_value: share of permutations of the pooled draws with at least this value.
        bandwidth: length scale of the Gaussian kernel, in the units of the draws.
    """

    squared: float
    p_value: float
    bandwidth: float


def mmd(first: Any, second: Any, *, bandwidth: float | None = None, permutations: int = 499, seed: int = 0) -> MMD:
    r"""$E\,k(x, x') + E\,k(y, y') - 2 E\,k(x, y)$ with a Gaussian kernel, and a permutation test.

    Args:
        first: draws, one per row; further axes are flattened.
        second: draws of the same shape of row. Memory grows with the square of the number of rows.
        bandwidth: length scale of the kernel; the median distance of the pooled draws when None.
        permutations: of the test; its smallest p-value is 1 / (permutations + 1).
        seed: for the permutations.

    Raises:
        SpecError: rows of different length, or fewer than two rows.

    >>> import numpy as np
    >>> draws = np.random.default_rng(0).normal(size=(400, 2))
    >>> mmd(draws[:200], draws[200:]).p_value > 0.01, mmd(draws[:200], draws[200:] + 1.0).p_value < 0.01
    (True, True)
    """
    x, y = _rows("mmd", first, second)
    both = np.concatenate([x, y])
    squares = np.sum(both**2, axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2.0 * both @ both.T, 0.0)
    if bandwidth is None:
        bandwidth = float(np.sqrt(np.median(distances[np.triu_indices(len(both), 1)])))
    if not bandwidth > 0:
        raise SpecError(f"mmd(bandwidth={bandwidth}): a length above zero is needed; are all draws the same?")
    kernel = np.exp(-0.5 * distances / bandwidth**2)
    np.fill_diagonal(kernel, 0.0)
    rng = np.random.default_rng(seed)
    labels = np.zeros((permutations + 1, len(both)))
    labels[:, : len(x)] = 1.0
    labels[1:] = rng.permuted(labels[1:], axis=1)
    inside = kernel @ labels.T
    within = np.einsum("pn,np->p", labels, inside)
    across = np.einsum("pn,np->p", 1.0 - labels, inside)
    rest = kernel.sum() - within - 2.0 * across
    n, m = len(x), len(y)
    values = within / (n * (n - 1)) + rest / (m * (m - 1)) - 2.0 * across / (n * m)
    return MMD(float(values[0]), float(np.mean(values >= values[0])), bandwidth)


def sliced_wasserstein(first: Any, second: Any, *, projections: int = 200, seed: int = 0) -> float:
    r"""The root of the mean squared 2-Wasserstein distance of projections on random directions.

    Args:
        first: draws, one per row; further axes are flattened.
        second: draws of the same shape of row.
        projections: random directions.
        seed: for the directions.

    Returns:
        A distance in the units of the draws.

    >>> import numpy as np
    >>> draws = np.random.default_rng(0).normal(size=(500, 1))
    >>> round(sliced_wasserstein(draws, draws + 2.0), 6)
    2.0
    """
    x, y = _rows("sliced_wasserstein", first, second)
    directions = np.random.default_rng(seed).normal(size=(x.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    levels = (np.arange(max(len(x), len(y))) + 0.5) / max(len(x), len(y))
    gaps = _quantiles(x @ directions, levels) - _quantiles(y @ directions, levels)
    return float(np.sqrt(np.mean(gaps**2)))


def _quantiles(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Empirical quantiles of each column: exactly the sorted values when there are as many levels as rows."""
    return np.sort(values, axis=0)[np.minimum((levels * len(values)).astype(int), len(values) - 1)]


def _rows(operation: str, first: Any, second: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = (np.asarray(a, float).reshape(len(a), -1) for a in (first, second))
    if x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise SpecError(
            f"{operation}(...): shapes {np.shape(first)} and {np.shape(second)}. Give two or more rows of one length."
        )
    return x, y
