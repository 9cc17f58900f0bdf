r"""Densities on a line: their integrals by Gauss-Legendre panels, their draws under a staircase.

The line is cut into panels, and each has so many nodes that a smooth density is a polynomial on it: the error falls
exponentially with the number of nodes, and as fast where the density ends at a wall. Draws are von Neumann's: a
staircase above the density is drawn from exactly, and a point is kept with the probability of density over staircase.

Reference:
    Davis and Rabinowitz, *Methods of numerical integration*, 1984, section 2.7; von Neumann, *Various techniques used
    in connection with random digits*, 1951.
"""

from collections.abc import Callable

import numpy as np

from gmdsl.core.errors import SpecError

AGREEMENT = 1e-10  # of the rule with that of half as many panels, in the logarithm of the integral
PANELS = 512
ORDER = 16  # nodes of a panel
STEPS = 4_000  # of a staircase


def integrate_line(
    operation: str, log_density: Callable[[np.ndarray], np.ndarray], low: float, high: float
) -> tuple[float, np.ndarray, np.ndarray]:
    r"""The logarithm of $\int p$, and nodes with probabilities that give means of smooth functions.

    Args:
        operation: what messages call the target.
        log_density: of an array of places; smooth between the ends, and nothing beyond them.
        low: the lower end.
        high: the upper end.

    Raises:
        SpecError: the density is too narrow for the grid.

    >>> log_z, nodes, probabilities = integrate_line("normal", lambda x: -0.5 * x**2, -12.0, 12.0)
    >>> round(log_z, 6), round(float(probabilities @ nodes**2), 6)
    (0.918939, 1.0)
    """
    log_half, _, _ = _integrate_panels(log_density, low, high, PANELS // 2)
    log_z, nodes, probabilities = _integrate_panels(log_density, low, high, PANELS)
    if not abs(log_z - log_half) < AGREEMENT:
        raise SpecError(
            f"{operation}: its constant does not settle, {log_half:.12g} with {PANELS // 2} panels and {log_z:.12g}"
            f" with {PANELS}. Take a target that is less narrow."
        )
    return log_z, nodes, probabilities


def draw_under_steps(
    random: np.random.Generator,
    log_density: Callable[[np.ndarray], np.ndarray],
    log_bounds: np.ndarray,
    edges: np.ndarray,
    count: int,
) -> np.ndarray:
    """Exact draws from a density on a line, by rejection under a staircase.

    Args:
        random: NumPy's generator.
        log_density: of an array of places, normalised or not.
        log_bounds: what it does not exceed between two neighbouring edges: (cells,).
        edges: equally spaced: (cells + 1,).
        count: how many.

    >>> edges = np.linspace(0.0, 1.0, 101)
    >>> slope = draw_under_steps(np.random.default_rng(0), np.log, np.log(edges[1:]), edges, 10_000)
    >>> bool(abs(slope.mean() - 2 / 3) < 0.01)
    True
    """
    weights = np.exp(log_bounds - log_bounds.max())
    cumulative = np.cumsum(weights)
    kept, left = [], count
    while left:
        cell = np.searchsorted(cumulative, random.random(left) * cumulative[-1], side="right")
        cell = np.minimum(cell, len(weights) - 1)
        place = edges[cell] + (edges[1] - edges[0]) * random.random(left)
        with np.errstate(divide="ignore"):
            inside = np.log(random.random(left)) + log_bounds[cell] <= log_density(place)
        kept.append(place[inside])
        left -= int(inside.sum())
    return np.concatenate(kept) if kept else np.zeros(0)


def _integrate_panels(
    log_density: Callable[[np.ndarray], np.ndarray], low: float, high: float, panels: int
) -> tuple[float, np.ndarray, np.ndarray]:
    places, weights = np.polynomial.legendre.leggauss(ORDER)
    edges = np.linspace(low, high, panels + 1)
    width = edges[1] - edges[0]
    nodes = (edges[:-1, None] + 0.5 * width * (1.0 + places)).ravel()
    terms = log_density(nodes) + np.log(np.tile(0.5 * width * weights, panels))
    log_z = float(np.logaddexp.reduce(terms))
    return log_z, nodes, np.exp(terms - log_z)
