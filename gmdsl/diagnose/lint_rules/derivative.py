"""Is the score right at starts and beside branch edges? Traps that a `jnp.where` or a custom rule hides.

Every coordinate is moved to where functions branch or break: near 0, near 1 and -1, and far out. Points stand a
little beside the edge, because a kink has no derivative and no chain ever hits it; NaN exactly at an edge alone
is told as a note.
"""

import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.diagnose.checks.gradient import compare, verdict
from gmdsl.diagnose.positions import coordinates
from gmdsl.diagnose.probe_points import scores, starts
from gmdsl.diagnose.report import Finding, listed
from gmdsl.models.model import Model

NAME = "gradient"
EDGES = (0.0, 1.0, -1.0, 10.0, -10.0)
BESIDE = (1e-3, -1e-3)
COORDINATES = 50  # that are moved at most


def derivative(model: Model) -> Finding:
    """The finding "gradient" of a model that has not been sampled yet."""
    names = coordinates(Density(model))
    rng = np.random.default_rng(0)
    base = starts(len(names), 20)
    moved = np.sort(rng.permutation(len(names))[:COORDINATES])
    places = [(i, edge + side) for i in moved for edge in EDGES for side in BESIDE]
    points = np.concatenate([base, _move_point(base[0], places)])
    found = verdict(NAME, compare(model, points, 1.0, rng), names, "probe points")
    if found.status != "ok":
        return found
    exact = [(i, edge) for i in moved for edge in EDGES[:3]]
    value, score = scores(model, _move_point(base[1], exact))
    broken = np.isfinite(value) & ~np.isfinite(score).all(axis=1)
    if broken.any():
        where = listed(f"{names[i]} = {edge:g}" for (i, edge), bad in zip(exact, broken, strict=True) if bad)
        return Finding(NAME, "note", f"not finite exactly at {where}, and fine beside it", "No chain stops there.")
    return found


def _move_point(base: np.ndarray, places: list[tuple[int, float]]) -> np.ndarray:
    """Copies of a point with one coordinate changed in each."""
    points = np.repeat(base[None], len(places), axis=0)
    for row, (index, value) in enumerate(places):
        points[row, index] = value
    return points
