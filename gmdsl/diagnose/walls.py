r"""Hard walls: coordinates along which the density ends, at -inf, a short step away from draws.

Integration by parts leaves the density on the wall, so Stein's identity does not hold for a coordinate that points
through one: $E[s_i] = \int \partial_i p = -\int_{wall} p\, n_i$. Along the wall it does.
"""

import numpy as np
from jaxtyping import Bool, Float

from gmdsl.compiler.density import Density
from gmdsl.diagnose.positions import log_densities_and_scores

STEP = 0.2  # standard deviations to a wall that is near
NEAR = 0.01  # share of draws so near that the density there is not small
DRAWS = 100  # from which is looked
LOOKS = 20_000  # evaluations at most


def coordinates_with_walls(density: Density, x: Float[np.ndarray, "chain draw dim"]) -> Bool[np.ndarray, " dim"]:
    """Whether the density ends near some of the draws, by coordinate of the flat vector.

    Args:
        density: the compiled model.
        x: flat draws.
    """
    flat = x.reshape(-1, x.shape[-1])
    dim = flat.shape[1]
    count = min(len(flat), max(20, min(DRAWS, LOOKS // (2 * dim))))
    starts = flat[np.linspace(0, len(flat) - 1, count).astype(int)]
    step = STEP * flat.std(axis=0)
    found = np.zeros(dim, bool)
    for axis in range(dim):
        away = np.zeros(dim, flat.dtype)
        away[axis] = step[axis]
        gone = [~np.isfinite(log_densities_and_scores(density, (starts + side * away)[None])[0]) for side in (-1, 1)]
        found[axis] = max(part.mean() for part in gone) > NEAR
    return found
