r"""Does the density fall in every direction?

A density that can be normalised has a finite integral along almost every line, so that $\log p$ falls faster
than $-\log r$ there, and faster than $-d \log r$ along rays in generic directions. The slope
$d \log p / d \log r$ is taken far out, in the unconstrained coordinates with their Jacobian. Lines run from several
random points along each coordinate, in random directions, and along every direction to which all scores
are orthogonal: a linear ridge, such as the sum that stays free in a softmax. A Cauchy tail has slope -2 and is proper.
A curved ridge escapes this look. Elements that are masked and have no density are left where they are.
"""

from typing import Any

import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.diagnose.positions import coordinates
from gmdsl.diagnose.probe_points import SEE_STARTS, log_densities, scores, starts
from gmdsl.diagnose.report import Finding, listed
from gmdsl.models.model import Model

NAME = "proper density"
RADII = np.array([10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1e3, 1e4, 1e5, 1e6])
BASES = 3
STARTS = 50  # starts that are tried for them
FIRST = 16  # of these before the others
RANDOM = 20  # random directions
AXES = 50  # coordinates that are tried at most: 1,300 evaluations from each base
SLACK = 0.02  # of a slope
LAST = 640.0  # radius beyond which exp(r) is not a number any more
DEEP = 100.0  # fall of a log-density, per dimension of the line, after which nothing is left to integrate

ADVICE = "Add a prior, or a term that grows in that direction, or bound the variable."


def improper(model: Model) -> Finding:
    """The finding "proper density"."""
    density = Density(model)
    dim, names = density.dim, coordinates(density)
    bases = _bases(model, dim)
    if len(bases) < BASES:
        return Finding(NAME, "note", "not examined: the log-density is finite at too few starts", SEE_STARTS)
    lines, called, limits = _directions(model, names, ~density.gone)
    slopes = _slopes(model, bases, lines, np.array(limits))
    found = [(c, s) for c, s, limit in zip(called, slopes, limits, strict=True) if s > limit - SLACK]
    if not found:
        return Finding(NAME, "ok", f"it falls along {len(lines)} directions")
    worst = max(slope for _, slope in found)
    evidence = (
        f"it does not fall along {listed(dict.fromkeys(name for name, _ in found))} (slope {worst:.2g} on a log scale)"
    )
    return Finding(NAME, "failed" if worst > -SLACK else "suspect", evidence, ADVICE)


def _bases(model: Model, dim: int) -> np.ndarray:
    """The first starts at which the log-density is finite; more are tried where these are few."""
    tried, bases = starts(dim, STARTS), np.zeros((0, dim))
    for some in (tried[:FIRST], tried[FIRST:]):
        if len(bases) < BASES:
            bases = np.concatenate([bases, some[np.isfinite(log_densities(model, some))]])
    return bases[:BASES]


def _directions(model: Model, names: list[str], moved: np.ndarray) -> tuple[np.ndarray, list[str], list[float]]:
    """Unit vectors, what to call them, and the slope at which a density stops being proper along them."""
    dim, rng = len(names), np.random.default_rng(0)
    axes = np.sort([axis for axis in rng.permutation(dim) if moved[axis]][:AXES]).astype(int)
    parts, called = [], []
    for index in axes:
        for sign, word in ((1.0, "+"), (-1.0, "-")):
            parts.append(sign * np.eye(dim)[index])
            called.append(f"{word}{names[index]}")
    for ridge in _ridges(model, moved):
        if np.count_nonzero(np.abs(ridge) > 1e-6) > 1:  # an axis is there already
            for sign in (1.0, -1.0):
                parts.append(sign * ridge)
                called.append(_combination(sign * ridge, names))
    limits = [-1.0] * len(parts)
    dim = int(moved.sum())
    count = RANDOM if dim > 1 else 0
    rays = np.where(moved, rng.normal(size=(count, len(names))), 0.0)
    parts += list(rays / np.linalg.norm(rays, axis=1, keepdims=True))
    called += ["a random direction"] * count
    return np.array(parts), called, limits + [-float(dim)] * count


def _ridges(model: Model, moved: np.ndarray) -> np.ndarray:
    """Directions to which the scores at many points are orthogonal, among coordinates that have a density."""
    dim = len(moved)
    if dim > 500:
        return np.zeros((0, dim))
    _, found = scores(model, starts(dim, 2 * dim + 10, seed=1))
    found = np.where(moved, found, 0.0)
    found = found[np.isfinite(found).all(axis=1)]
    size = np.linalg.norm(found, axis=1, keepdims=True)
    found = found[size[:, 0] > 0] / size[size > 0][:, None]
    if len(found) < 2 * dim:
        return np.zeros((0, dim))
    _, values, vectors = np.linalg.svd(found, full_matrices=True)
    ridges = vectors[values < 1e-9 * values.max()]
    return ridges[(np.abs(ridges) < 1e-6)[:, ~moved].all(axis=1)]


def _slopes(model: Model, bases: np.ndarray, lines: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Slope of log p against log r far out; the smallest over the bases, so that all must fail to fall.

    A line that falls from one base is not looked at from the next.
    """
    found, start = np.full(len(lines), np.inf), log_densities(model, bases)
    for base, height in zip(bases, start, strict=True):
        left = np.flatnonzero(found > limits - SLACK)
        if not len(left):
            break
        at = base + RADII[:, None] * lines[left, None]
        values = log_densities(model, at.reshape(-1, at.shape[-1])).reshape(at.shape[:-1])
        for line, heights in zip(left, values, strict=True):
            found[line] = min(found[line], _far_slope(heights, height + DEEP * limits[line]))
    return found


def _far_slope(values: Any, floor: float) -> float:
    """Over the last two radii with a usable value: NaN and +inf are overflow, -inf is a fall.

    Beyond `LAST` exponentials overflow, and -inf is overflow too; from `LAST` on where the log-density rises. A plateau
    far below the start is a fall: bijections are cut off where numbers end, and are flat from there.
    """
    overflow = (values == -np.inf) & (RADII > LAST) & np.isfinite(values[RADII == LAST])
    rising = np.nan_to_num(values[RADII == LAST / 2], nan=-np.inf) > floor + 2.0 * DEEP
    overflow |= (values == -np.inf) & (RADII >= LAST) & rising
    usable = np.flatnonzero(~np.isnan(values) & (values < np.inf) & ~overflow)
    if len(usable) < 2 or values[usable[-1]] < floor:
        return -np.inf
    a, b = usable[-2:]
    return float((values[b] - values[a]) / np.log(RADII[b] / RADII[a]))


def _combination(ridge: np.ndarray, names: list[str]) -> str:
    largest = np.argsort(-np.abs(ridge))[:3]
    return " ".join(f"{ridge[i]:+.2g} {names[i]}" for i in largest if abs(ridge[i]) > 1e-6)
