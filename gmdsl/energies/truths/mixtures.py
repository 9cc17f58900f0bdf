r"""Moments of a mixture from those of its parts: $m = \sum_k w_k m_k$, $v = \sum_k w_k (v_k + (m_k - m)^2)$."""

import numpy as np


def moments_of_mixture(weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each coordinate of a mixture.

    Args:
        weights: of the components, (k,).
        means: theirs, (k, dim).
        variances: of each coordinate within each component, (k, dim) or what broadcasts to it.

    >>> mean, variance = moments_of_mixture(np.array([0.5, 0.5]), np.array([[-1.0], [1.0]]), np.ones((2, 1)))
    >>> mean.tolist(), variance.tolist()
    ([0.0], [2.0])
    """
    mean = weights @ means
    return mean, weights @ (variances + (means - mean) ** 2)
