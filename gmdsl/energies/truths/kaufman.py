r"""The partition function of the Ising model on a finite torus without a field, in closed form.

On a torus of m by n spins with $E = -K \sum_{(ij)} s_i s_j$,

$$Z = \tfrac12 (2 \sinh 2K)^{mn/2} \Bigl[ \prod_r 2\cosh \tfrac m2 \gamma_{2r+1}
    + \prod_r 2\sinh \tfrac m2 \gamma_{2r+1}
    + \prod_r 2\cosh \tfrac m2 \gamma_{2r} + \prod_r 2\sinh \tfrac m2 \gamma_{2r} \Bigr],$$

with r from 0 to n - 1, $\cosh\gamma_l = \cosh 2K \coth 2K - \cos(\pi l / n)$, and $\gamma_0 = 2K + \log\tanh K$,
which is negative above the critical temperature.

Reference:
    Kaufman, *Crystal statistics II: partition function evaluated by spinor analysis*, Physical Review 76, 1949.
"""

import numpy as np


def log_z_of_torus(rows: int, columns: int, coupling: float) -> float:
    r"""The logarithm of $\sum_s \exp(K \sum_{(ij)} s_i s_j)$ on a torus.

    Args:
        rows: of spins.
        columns: of spins.
        coupling: K, above 0.

    >>> round(log_z_of_torus(8, 8, 0.5), 6), round(log_z_of_torus(32, 32, 0.2), 6)
    (66.344582, 752.159552)
    """
    m, n, k = rows, columns, coupling
    logs, signs = [], []
    for parity in (1, 0):
        gamma = _gamma(2 * np.arange(n) + parity, n, k)
        half = 0.5 * m * np.abs(gamma)
        with np.errstate(divide="ignore"):  # sinh(0) at the critical point
            cosh, sinh = np.logaddexp(half, -half), half + np.log(-np.expm1(-2 * half))
        logs += [cosh.sum(), sinh.sum()]
        signs += [1.0, float(np.prod(np.sign(gamma)))]
    top = max(logs)
    total = sum(sign * np.exp(log - top) for log, sign in zip(logs, signs, strict=True))
    log_sinh = 2 * k + np.log(-np.expm1(-4 * k))  # log(2 sinh 2K)
    return float(-np.log(2.0) + 0.5 * m * n * log_sinh + top + np.log(total))


def _gamma(index: np.ndarray, n: int, k: float) -> np.ndarray:
    """The angles, by the larger root of the quadratic equation for their exponentials."""
    at_zero = 2 * k + np.log(np.tanh(k))
    # cosh(gamma) - 1, without cancellation near the critical point where gamma_0 = 0
    excess = 2 * np.sinh(0.5 * at_zero) ** 2 + 2 * np.sin(0.5 * np.pi * index / n) ** 2
    gamma = np.log1p(excess + np.sqrt(excess * (excess + 2)))
    return np.where(index == 0, at_zero, gamma)
